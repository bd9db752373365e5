import { answered, type MasterApi } from '../../api/master-api.js';
import { CliError } from '../../exit.js';

/** Of more than these the first ones are asked for again. */
const MOST = 10_000;

/** What applications are called, each asked for once. */
export class ApplicationNames {
  private readonly names = new Map<string, string>();

  constructor(private readonly api: MasterApi) {}

  /** @returns its id where no name can be had: it was deleted meanwhile, or this token may not see it, or nobody answers */
  async of(application: string): Promise<string> {
    const known = this.names.get(application);
    if (known !== undefined) return known;
    const name = await this.ask(application);
    if (this.names.size >= MOST) this.names.clear();
    this.names.set(application, name);
    return name;
  }

  private async ask(application: string): Promise<string> {
    try {
      return answered(await this.api.http.GET('/v1/applications/{application}', { params: { path: { application } } }))
        .name;
    } catch (error) {
      if (!(error instanceof CliError)) throw error;
      return application; // the line itself is what matters
    }
  }
}
