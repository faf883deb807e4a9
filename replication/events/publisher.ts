import type { LeewardEvent } from "./event.ts";

/**
 * A topic that other programs subscribe to. Its events are facts that the records hold anyway: no work waits for it or
 * fails with it.
 */
export interface EventPublisher {
  /**
   * Publishes all events or none, at most EVENTS_PER_SEND_MAX_COUNT, within EVENTS_SEND_MS. Sending an event again is
   * harmless: subscribers recognise it by its id. Errors: `events-unavailable`, also at once for a while after a
   * failure; `events-refused` for credentials and for the request itself.
   */
  publish(events: readonly LeewardEvent[]): Promise<void>;
}
