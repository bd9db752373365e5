/** Of `npm start`, in the order of the pipeline. */
export const ENVIRONMENTS = [
  { id: 'dev', position: 10 },
  { id: 'staging', position: 20 },
  { id: 'prod', position: 30 },
] as const;
export type Environment = (typeof ENVIRONMENTS)[number]['id'];

/** In the order of their ports; what has been added later comes later, so that nothing moves. */
export const REGIONS = [
  { id: 'eu-west', environment: 'prod' },
  { id: 'us-east', environment: 'prod' },
  { id: 'ap-south', environment: 'prod' },
  { id: 'staging-eu', environment: 'staging' },
  { id: 'dev-eu', environment: 'dev' },
] as const satisfies { id: string; environment: Environment }[];
export type Region = (typeof REGIONS)[number];

/** Those that have one of the regions, in the order of the pipeline. */
export function environmentsOf<T extends string>(regions: readonly { environment: T }[]): T[] {
  return ENVIRONMENTS.flatMap(({ id }) => regions.find(({ environment }) => environment === id)?.environment ?? []);
}
