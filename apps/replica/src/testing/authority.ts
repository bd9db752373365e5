import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const EC = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

/** An authority that issues certificates, in a directory of its own. */
export class Authority {
  readonly directory = mkdtempSync(join(tmpdir(), 'heliograph-ca-'));
  /** in PEM */
  readonly ca: string;

  constructor() {
    this.openssl('req', '-x509', ...EC, '-keyout', 'ca.key', '-out', 'ca.crt', '-days', '30', '-subj', '/CN=Test CA');
    this.ca = this.read('ca.crt');
    const policy = '[p]\ncommonName=supplied\n';
    const authority = '[c]\ndatabase=index\nserial=serial\nnew_certs_dir=.\ncertificate=ca.crt\nprivate_key=ca.key\n';
    writeFileSync(
      join(this.directory, 'conf'),
      `[ca]\ndefault_ca=c\n${authority}default_md=sha256\npolicy=p\nunique_subject=no\ncopy_extensions=copy\n${policy}`,
    );
    writeFileSync(join(this.directory, 'index'), '');
    writeFileSync(join(this.directory, 'serial'), '1000\n');
  }

  /**
   * Writes `<file>.crt` and `<file>.key`, and gives both in PEM.
   *
   * @param name like `DNS:localhost`
   */
  issue(file: string, name: string, expired = false): { cert: string; key: string } {
    const subject = ['-subj', `/CN=${file}`, '-addext', `subjectAltName=${name}`];
    this.openssl('req', '-new', ...EC, '-keyout', `${file}.key`, '-out', 'request', ...subject);
    const dates = expired ? ['-startdate', '20200101000000Z', '-enddate', '20200201000000Z'] : ['-days', '20'];
    this.openssl('ca', '-batch', '-notext', '-config', 'conf', ...dates, '-in', 'request', '-out', `${file}.crt`);
    return { cert: this.read(`${file}.crt`), key: this.read(`${file}.key`) };
  }

  remove(): void {
    rmSync(this.directory, { recursive: true });
  }

  private read(file: string): string {
    return readFileSync(join(this.directory, file), 'utf8');
  }

  private openssl(...parameters: string[]): void {
    execFileSync('openssl', parameters, { cwd: this.directory, stdio: 'pipe' });
  }
}
