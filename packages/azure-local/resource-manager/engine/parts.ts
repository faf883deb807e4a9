import type { Reachability } from "../../reachability.ts";
import type { Answer, ArmRequest } from "./answer.ts";
import type { Faults } from "./faults.ts";
import type { OperationAddresses } from "./operation-answers.ts";
import type { Operations } from "./operations.ts";
import type { Past } from "./past.ts";
import type { ResourceType, World } from "./resource-type.ts";
import type { ArmStore } from "./store.ts";

export interface EngineParts {
  readonly store: ArmStore;
  readonly types: readonly ResourceType[];
  readonly operations: Operations;
  readonly faults: Faults;
  readonly world: () => World;
  readonly addresses: OperationAddresses;
  readonly subscriptionId: string;
  readonly pageCount: number;
  readonly reachability: (region: string) => Reachability;
  readonly past: Past;
  /** Answers what is no resource: skus, usages, providers. Throws for anything unknown. */
  readonly others: (request: ArmRequest, world: World) => Answer;
}
