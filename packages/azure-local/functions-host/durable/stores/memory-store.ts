import {
  type Batch,
  type DurableStore,
  type InstanceRow,
  type Message,
  type Payload,
  type Work,
  hasEnded,
} from "./store.ts";

/** A hub that ends with the process. */
export function openMemoryStore(): DurableStore {
  const instances = new Map<string, InstanceRow>();
  const payloads = new Map<string, Payload>();
  const histories = new Map<string, string[]>();
  const messages = new Map<number, Message>();
  const work = new Map<number, Work>();

  const apply = (batch: Batch): void => {
    for (const id of batch.removedInstances ?? []) {
      instances.delete(id);
      payloads.delete(id);
      histories.delete(id);
    }
    for (const id of batch.clearedHistories ?? []) histories.delete(id);
    for (const id of batch.removedMessages ?? []) messages.delete(id);
    for (const id of batch.removedWork ?? []) work.delete(id);
    for (const row of batch.instances ?? []) instances.set(row.id, row);
    for (const { instanceId, input } of batch.inputs ?? []) payloads.set(instanceId, { input, output: null });
    for (const { instanceId, output } of batch.outputs ?? []) {
      payloads.set(instanceId, { input: payloads.get(instanceId)?.input ?? null, output });
    }
    for (const { instanceId, index, event } of batch.history ?? []) {
      const history = histories.get(instanceId) ?? [];
      history[index] = event;
      histories.set(instanceId, history);
    }
    for (const message of batch.messages ?? []) messages.set(message.id, message);
    for (const item of batch.work ?? []) work.set(item.id, item);
  };

  const byId = <T extends { readonly id: number }>(items: Iterable<T>): T[] =>
    [...items].toSorted((left, right) => left.id - right.id);
  return {
    load: () => {
      const live = [...instances.values()].filter(({ status }) => !hasEnded(status));
      return Promise.resolve({
        instances: [...instances.values()],
        histories: new Map(live.map(({ id }) => [id, [...(histories.get(id) ?? [])]])),
        messages: byId(messages.values()),
        work: byId(work.values()),
      });
    },
    commit: (batch) => {
      apply(batch);
      return Promise.resolve();
    },
    history: (id) => Promise.resolve([...(histories.get(id) ?? [])]),
    payload: (id) => Promise.resolve(payloads.get(id) ?? { input: null, output: null }),
    close: () => Promise.resolve(),
  };
}
