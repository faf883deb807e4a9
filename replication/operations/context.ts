import { LeewardError } from "../errors.ts";
import type { EventPublisher } from "../events/publisher.ts";
import { type ManagedItem, readManaged } from "../jobs/managed-item.ts";
import type { ItemContext } from "../points/context.ts";
import type { RecordStore } from "../ports.ts";
import type { Failed, ResourceManager } from "../resources/resource-manager.ts";
import type { Tickets } from "../service/tickets.ts";
import type { WorkQueue } from "./work-queue.ts";

export interface FlowManagement {
  readonly resourceManager: ResourceManager;
  readonly subscriptionId: string;
  /** Of the function app. */
  readonly resourceGroup: string;
  /** The address of the app as mobility services reach it, with `/api`. */
  readonly apiUrl: string | undefined;
  /** Where VMs download install-mobility.sh; undefined when not configured. */
  readonly installScriptUrl: string | undefined;
}

/** What activities need from the outside. */
export interface FlowContext extends ItemContext {
  readonly management: FlowManagement | undefined;
  /** Records that belong to no single item: policies, network mappings. */
  readonly control: RecordStore;
  readonly queue: WorkQueue;
  /** Makes the token of an installation. */
  readonly tickets: Pick<Tickets, "issue">;
  /** Undefined for an app without a topic: it publishes nothing. */
  readonly events: EventPublisher | undefined;
  /** The item as this activity found it when it began; undefined outside of activities. */
  readonly managed?: ManagedItem;
}

/** For activities that only read the item: each has read it already, to check which job holds it. */
export async function managedOf({ managed, stores }: FlowContext, itemId: string): Promise<ManagedItem> {
  return managed ?? readManaged(stores, itemId);
}

/** An app that only replicates never starts a flow. */
export function managementOf({ management }: FlowContext): FlowManagement {
  if (management !== undefined) return management;
  throw new LeewardError("configuration-invalid", "LEEWARD_SUBSCRIPTION_ID is missing: this app makes no resources.");
}

/** Maps Azure's refusal to one of our errors. */
export function azureError({ code, azureCode, message }: Failed): LeewardError {
  return new LeewardError(code, azureCode === "" ? message : `${azureCode}: ${message}`, { azureCode });
}
