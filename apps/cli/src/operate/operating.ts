import type { Entry } from '../command.js';

/** What is wanted at night: seeing, proving, explaining. */
export const OPERATING: readonly Entry[] = [
  {
    name: 'status',
    summary: 'Everything on one screen: environments, who leads, regions, replicas',
    group: 'operating',
    load: () => import('./status.command.js'),
  },
  {
    name: 'convergence',
    summary: 'Which replicas have applied a revision',
    group: 'operating',
    load: () => import('./convergence.command.js'),
  },
  {
    name: 'tail',
    summary: 'Requests of a region or a replica, as they are answered',
    group: 'operating',
    load: () => import('./tail.command.js'),
  },
  {
    name: 'doctor',
    summary: 'Look at a master, a store or a replica, and explain what is wrong',
    group: 'operating',
    load: () => import('./doctor.command.js'),
  },
  {
    name: 'verify',
    summary: 'Prove a store, or a copy of one, offline',
    group: 'operating',
    load: () => import('./verify.command.js'),
  },
];
