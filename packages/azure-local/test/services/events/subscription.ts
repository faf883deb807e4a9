import type { EventSubscription } from "../../../events/event-grid.ts";

export const SUBSCRIPTION: EventSubscription = {
  source: "cachewe",
  subjectBeginsWith: "/blobServices/default/containers/leeward-cache-",
  destination: { kind: "storage-queue", account: "targetne", queue: "leeward-hints" },
};
