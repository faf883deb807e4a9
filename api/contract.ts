import { ALERT_RULES } from "./alert-rules.ts";
import { ALERTS } from "./alerts.ts";
import { DOCUMENT } from "./document.ts";
import { JOBS } from "./jobs.ts";
import { MOBILITY } from "./mobility.ts";
import { NETWORK_MAPPINGS } from "./network-mappings.ts";
import { POLICIES } from "./policies.ts";
import { PROTECTED_ITEMS } from "./protected-items.ts";
import { RECOVERY_POINTS } from "./recovery-points.ts";
import { RESTORES } from "./restores.ts";

/** The resources of the API with their operations, in the order in which documents show them. */
export const RESOURCES = {
  "Protected items": PROTECTED_ITEMS,
  "Recovery points": RECOVERY_POINTS,
  Restores: RESTORES,
  Jobs: JOBS,
  Policies: POLICIES,
  "Network mappings": NETWORK_MAPPINGS,
  "Alert rules": ALERT_RULES,
  Alerts: ALERTS,
  "Mobility service": MOBILITY,
  "This document": DOCUMENT,
} as const;

/**
 * Every operation by the name of its function: the only table of routes. Registration, client, fuzz cases and documents
 * are derived from it.
 */
export const CONTRACT = {
  ...PROTECTED_ITEMS,
  ...RECOVERY_POINTS,
  ...RESTORES,
  ...JOBS,
  ...POLICIES,
  ...NETWORK_MAPPINGS,
  ...ALERT_RULES,
  ...ALERTS,
  ...MOBILITY,
  ...DOCUMENT,
} as const;

export type OperationName = keyof typeof CONTRACT;
