import { CliError } from '../exit.js';

/** The address of a port, as it was given with an option. @throws CliError for what is none */
export function portUrl(option: string, url: string): string {
  if (/^https?:\/\//.test(url) && URL.canParse(url)) return url.replace(/\/+$/, '');
  throw new CliError(`${option}: "${url}" is no URL`, { exit: 'usage', next: 'Give one like http://127.0.0.1:9180.' });
}
