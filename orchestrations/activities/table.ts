import { closeStream, removePoints } from "./commit.ts";
import { closeJob, lookOther, noteError, openJob, turnTasks } from "./job.ts";
import { beginMachine, beginShutDown, lookChange } from "./machines.ts";
import { beginInstall, lookInstall, lookMobility, protect } from "./mobility.ts";
import { rememberNetwork } from "./networks.ts";
import { planItem } from "./plan.ts";
import {
  forgetItem,
  leaveAtSource,
  proveNothingLeft,
  removeData,
  removeTargetData,
  silenceSource,
} from "./removal-data.ts";
import { beginRemove, lookRemove, planRemovals } from "./removal.ts";
import { beginRestore, fixLatest, lookPoint, lookRestore, removeRestored } from "./restore.ts";
import { advanceWalk } from "./walk.ts";
import { endReplication, lookWorkers } from "./workers.ts";

/** Every activity by its name. Each may run twice, and answers small JSON without a secret. */
export const ACTIVITIES = {
  openJob,
  lookOther,
  turnTasks,
  noteError,
  closeJob,
  planItem,
  advanceWalk,
  rememberNetwork,
  protect,
  beginInstall,
  lookInstall,
  lookMobility,
  fixLatest,
  lookPoint,
  beginRestore,
  lookRestore,
  removeRestored,
  beginShutDown,
  beginMachine,
  lookChange,
  closeStream,
  removePoints,
  silenceSource,
  planRemovals,
  beginRemove,
  lookRemove,
  removeTargetData,
  leaveAtSource,
  forgetItem,
  removeData,
  endReplication,
  lookWorkers,
  proveNothingLeft,
} as const;
export type Activities = typeof ACTIVITIES;
export type ActivityName = keyof Activities;
