import type { LeewardEvent } from "../../replication/events/event.ts";
import type { EventPublisher } from "../../replication/events/publisher.ts";
import { EVENTS_PER_SEND_MAX_COUNT } from "../../replication/limits.ts";
import type { SimulatedProcess } from "./process.ts";

/** A topic with a subscriber that keeps all events: the same event may come again, but never changed. */
export interface Topic {
  publisherOf(process: SimulatedProcess): EventPublisher;
  /** True when an event of this type and subject came with these fields in its data. */
  heard(type: LeewardEvent["eventType"], subjectEnd: string, fields?: Readonly<Record<string, unknown>>): boolean;
}

export function createTopic(wrong: (sentence: string) => void): Topic {
  const events = new Map<string, LeewardEvent>();
  const take = (event: LeewardEvent): void => {
    const known = events.get(event.id);
    if (known !== undefined && (known.eventType !== event.eventType || known.subject !== event.subject)) {
      wrong(`the event ${event.id} was told of ${known.subject} and of ${event.subject}`);
    }
    events.set(event.id, event);
  };
  return {
    publisherOf: (process) => ({
      publish: (sent) => {
        if (sent.length > EVENTS_PER_SEND_MAX_COUNT) wrong(`${sent.length} events were sent at once`);
        return process.send({ place: "topic", access: "write", operation: `publish ${sent.length}` }, () =>
          sent.forEach(take),
        );
      },
    }),
    heard: (type, subjectEnd, fields = {}) =>
      [...events.values()].some(
        ({ eventType, subject, data }) =>
          eventType === type &&
          subject.endsWith(subjectEnd) &&
          Object.entries(fields).every(([name, value]) => data[name] === value),
      ),
  };
}
