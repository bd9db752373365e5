import { documentOf } from '../model/api-draft.js';
import { type Convert, convertFiles } from '../model/converted.js';
import { Plans } from '../model/limits.js';
import { ApiNames } from '../model/names.js';
import { apiOfGroup } from './api-of-group.js';
import { Consumers } from './consumers.js';
import { Gatherer, withDefaults } from './entities.js';
import { apart, groupsOf, pathsOf } from './routing.js';

/** Converts files of decK, which are one configuration together. Never throws. */
export const convertKong: Convert = (sources, environment) =>
  convertFiles(
    sources,
    (files) => {
      const roots = files.map(({ root }) => root);
      for (const root of roots)
        if (!root.at('_format_version').present)
          root.changed('it does not say that it is a file of decK', 'give a file that `deck gateway dump` made');
      const before3 = roots.some((root) => Number.parseFloat(root.at('_format_version').text() ?? '3') < 3);
      const { entities } = new Gatherer(roots);
      const plans = new Plans();
      const names = new ApiNames();
      const services = entities.services.filter(({ at }) => {
        if (at.at('enabled').flag(true)) return true;
        at.lost('it is not enabled', 'enable it, if it is wanted');
        return false;
      });
      for (const { at, routes } of services)
        if (routes.length === 0)
          at.lost('it has no route, so that nobody can ask for it', 'give it one, if it is wanted');
      const paths = services.map((service) => pathsOf(service, before3));
      const groups = services.flatMap((service, index) => {
        const others = paths.filter((_, other) => other !== index).flat();
        return groupsOf(service, paths[index] ?? [], others);
      });
      const apis = apart(groups)
        .flatMap((group) => apiOfGroup(group, entities, plans, names) ?? [])
        .filter(({ draft }) => documentOf(draft, environment) !== null);
      // consumers bring plans of their own into the APIs
      const lines = new Consumers(entities, apis, plans, environment).lines();
      const documents = apis.flatMap(({ draft }) => documentOf(draft, environment) ?? []);
      return { apis: documents, plans: plans.list(), lines };
    },
    withDefaults,
  );
