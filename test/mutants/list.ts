import { APPLY_MUTANTS } from "./apply.ts";
import { AZURE_MUTANTS } from "./azure.ts";
import { BETWEEN_MUTANTS } from "./between.ts";
import { BOUND_MUTANTS } from "./bounds.ts";
import { DOMAIN_MUTANTS } from "./domain.ts";
import { FLOW_MUTANTS } from "./flows.ts";
import { FUNCTION_MUTANTS } from "./functions.ts";
import { ITEM_MUTANTS } from "./items.ts";
import { LEFTOVER_MUTANTS } from "./leftovers.ts";
import { CAPTURE_MUTANTS } from "./mobility-capture.ts";
import { EDGE_MUTANTS } from "./mobility-edges.ts";
import { EPOCH_MUTANTS } from "./mobility-epochs.ts";
import type { Mutant } from "./mutant.ts";
import { POINT_MUTANTS } from "./points.ts";
import { SWEEP_MUTANTS } from "./sweeps.ts";

export const MUTANTS: readonly Mutant[] = [
  ...ITEM_MUTANTS,
  ...SWEEP_MUTANTS,
  ...APPLY_MUTANTS,
  ...POINT_MUTANTS,
  ...BOUND_MUTANTS,
  ...DOMAIN_MUTANTS,
  ...FLOW_MUTANTS,
  ...BETWEEN_MUTANTS,
  ...LEFTOVER_MUTANTS,
  ...AZURE_MUTANTS,
  ...FUNCTION_MUTANTS,
  ...CAPTURE_MUTANTS,
  ...EPOCH_MUTANTS,
  ...EDGE_MUTANTS,
];
