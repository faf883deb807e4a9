import type { Binding } from "../rpc.ts";

/** True for the input that gives a function a client of Durable Functions. */
export const isClientBinding = ({ type, direction }: Binding): boolean =>
  direction === "in" && ["durableclient", "orchestrationclient"].includes(type.toLowerCase());

/** A hub or a connection of its own, which this host does not have; undefined when the binding is plain. */
export const foreignMember = (binding: Binding): string | undefined =>
  ["taskHub", "connectionName", "externalClient"].find(
    (member) => binding[member] !== undefined && binding[member] !== "",
  );
