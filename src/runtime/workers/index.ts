// Worker processes that share a port: the door of this folder.
export type { StartMessage } from './messages.ts';
export { createSupervisor } from './supervisor.ts';
export { linkToSupervisor, type Siblings } from './supervisor-link.ts';
export { forkWorker, WORKER_MARK, type WorkerProcess } from './worker-process.ts';
