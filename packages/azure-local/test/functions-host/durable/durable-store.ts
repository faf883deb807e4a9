import { describe, expect, it } from "vitest";
import { EventType } from "../../../functions-host/durable/history.ts";
import type { DurableStore, InstanceRow, Message, Work } from "../../../functions-host/durable/stores/store.ts";

export const row = (id: string, more: Partial<InstanceRow> = {}): InstanceRow => ({
  id,
  executionId: "e",
  name: "work",
  version: "",
  status: "Running",
  customStatus: null,
  createdMs: 1,
  updatedMs: 2,
  parent: null,
  ...more,
});
const message = (id: number, more: Partial<Message> = {}): Message => ({
  id,
  instanceId: "i",
  event: { EventType: EventType.EventRaised, EventId: -1, Name: "go", Input: '{"ö":"\\u0000"}' },
  ...more,
});
const work = (id: number): Work => ({ id, instanceId: "i", executionId: "e", taskId: 0, name: "a", input: null });
const event = (instanceId: string, index: number, text: string) => ({ instanceId, index, event: text });

export interface StoreWorld extends AsyncDisposable {
  readonly store: DurableStore;
  /** The same store as the next process finds it. */
  reopen(): Promise<DurableStore>;
}

/** What every store of the Durable engine does. */
export function durableStoreContract(name: string, open: () => Promise<StoreWorld>): void {
  describe(`a Durable store: ${name}`, () => {
    it("is empty at first", async () => {
      await using world = await open();
      expect(await world.store.load()).toEqual({ instances: [], histories: new Map(), messages: [], work: [] });
      expect(await world.store.history("x")).toEqual([]);
      expect(await world.store.payload("x")).toEqual({ input: null, output: null });
    });

    it("gives everything back, messages and work in the order of their ids", async () => {
      await using world = await open();
      const due = message(9, { dueMs: 5, executionId: "e" });
      await world.store.commit({
        instances: [row("i"), row("ended", { status: "Completed", customStatus: '"x"' })],
        inputs: [{ instanceId: "i", input: "1" }],
        history: [event("i", 1, '"b"'), event("i", 0, '"a"'), event("ended", 0, '"z"')],
        messages: [due, message(3)],
        work: [work(11), work(4)],
      });
      await world.store.commit({ outputs: [{ instanceId: "i", output: "2" }] });
      const store = await world.reopen();
      const loaded = await store.load();
      expect(loaded.instances.toSorted((a, b) => (a.id < b.id ? -1 : 1))).toEqual([
        row("ended", { status: "Completed", customStatus: '"x"' }),
        row("i"),
      ]);
      expect(loaded.histories).toEqual(new Map([["i", ['"a"', '"b"']]]));
      expect(loaded.messages).toEqual([message(3), due]);
      expect(loaded.work).toEqual([work(4), work(11)]);
      expect(await store.payload("i")).toEqual({ input: "1", output: "2" });
      expect(await store.history("ended")).toEqual(['"z"']);
    });

    it("replaces rows, events and inputs; a new input removes the output", async () => {
      await using world = await open();
      const { store } = world;
      await store.commit({
        instances: [row("i")],
        inputs: [{ instanceId: "i", input: "1" }],
        outputs: [{ instanceId: "i", output: "2" }],
        history: [event("i", 0, '"a"')],
      });
      await store.commit({
        instances: [row("i", { updatedMs: 9 })],
        inputs: [{ instanceId: "i", input: "3" }],
        history: [event("i", 0, '"A"'), event("i", 1, '"b"')],
      });
      expect((await store.load()).instances).toEqual([row("i", { updatedMs: 9 })]);
      expect([await store.history("i"), await store.payload("i")]).toEqual([
        ['"A"', '"b"'],
        { input: "3", output: null },
      ]);
    });

    it("removes before it adds", async () => {
      await using world = await open();
      const { store } = world;
      await store.commit({
        instances: [row("i"), row("other")],
        inputs: [{ instanceId: "i", input: "1" }],
        history: [event("i", 0, '"a"'), event("i", 1, '"b"'), event("other", 0, '"o"')],
        messages: [message(1), message(2)],
        work: [work(3)],
      });
      await store.commit({
        removedInstances: ["i"],
        clearedHistories: ["other"],
        removedMessages: [1, 77],
        removedWork: [3],
        instances: [row("i", { executionId: "new" })],
        history: [event("i", 0, '"n"')],
        messages: [message(4)],
      });
      const loaded = await (await world.reopen()).load();
      expect(loaded.instances.find(({ id }) => id === "i")?.executionId).toBe("new");
      expect(loaded.histories).toEqual(
        new Map([
          ["i", ['"n"']],
          ["other", []],
        ]),
      );
      expect([loaded.messages.map(({ id }) => id), loaded.work]).toEqual([[2, 4], []]);
    });

    it("writes concurrent batches in the order of the calls", async () => {
      await using world = await open();
      const { store } = world;
      await Promise.all([
        ...Array.from({ length: 50 }, (_, n) =>
          store.commit({ instances: [row("i", { updatedMs: n })], messages: [message(n)] }),
        ),
        store.commit({ removedMessages: [7] }),
      ]);
      const loaded = await store.load();
      expect(loaded.instances).toEqual([row("i", { updatedMs: 49 })]);
      expect(loaded.messages).toHaveLength(49);
    });

    it("can be closed twice, and first writes what was committed before", async () => {
      await using world = await open();
      const committed = world.store.commit({ instances: [row("i")] });
      await Promise.all([world.store.close(), world.store.close(), committed]);
      expect((await (await world.reopen()).load()).instances).toEqual([row("i")]);
    });
  });
}
