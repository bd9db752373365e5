import type { Session } from '../session.js';
import { databaseIdentity, isSameDatabase } from './database-identity.js';
import type { OfficeRow } from './fence.js';
import { restoreUnderWay } from './restore.js';

export interface Certainty {
  identity: string;
  /** this database is not the one that published last */
  moved: boolean;
  /** this database is not the one that published last, or has not finished taking over what it had forgotten */
  uncertain: boolean;
}

export async function certaintyOf(session: Session, environment: string, { database }: OfficeRow): Promise<Certainty> {
  const identity = await databaseIdentity(session);
  const moved = database !== null && !isSameDatabase(database, identity);
  return { identity, moved, uncertain: moved || (await restoreUnderWay(session, environment)) !== null };
}
