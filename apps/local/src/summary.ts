/** `local.json`: where everything is, for people's tools. It is there while all of it runs. */
export interface Summary {
  master: string;
  adminToken: string;
  store: string;
  regions: { id: string; environment: string; gateway: string; admin: string; pid: number | undefined }[];
  masterPid: number | undefined;
  /** `url` and `key` are of the first region, `keys` by environment */
  demo: { url: string; key: string; keys: Record<string, string> };
  /** of the demo: it answers with what it got */
  upstream: string;
}
