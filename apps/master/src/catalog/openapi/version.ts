import { invalid } from './faults.js';
import { describe, type JsonObject, own } from './place.js';

const SUPPORTED = 'openapi: 3.0.x or 3.1.x';

/**
 * The version of OpenAPI that a document says.
 *
 * @throws HelioError `openapi_invalid` that names what was found, for all but 3.0 and 3.1
 */
export function supportedVersion(root: JsonObject): string {
  const version = own(root, 'openapi');
  if (typeof version === 'string' && /^3\.[01](?:\.\d{1,4})?(?:-[0-9A-Za-z.-]{1,32})?$/.test(version)) return version;
  const older = own(root, 'swagger') ?? own(root, 'swaggerVersion');
  if (version === undefined && older !== undefined) {
    throw invalid('The document is Swagger, the predecessor of OpenAPI 3.', [
      {
        field: 'swagger',
        problem: `is ${describe(older)}`,
        expected: `${SUPPORTED}; converters like swagger2openapi make it of Swagger 2.0`,
      },
    ]);
  }
  if (version === undefined) {
    const problem = own(root, 'asyncapi') === undefined ? 'is missing' : 'is missing; this is an AsyncAPI document';
    throw invalid('The document is not an OpenAPI document.', [{ field: 'openapi', problem, expected: SUPPORTED }]);
  }
  const unquoted = typeof version === 'number' ? ', as text in quotes' : '';
  throw invalid('The version of OpenAPI is not supported.', [
    { field: 'openapi', problem: `is ${describe(version)}`, expected: SUPPORTED + unquoted },
  ]);
}
