import type { Binding } from "../rpc.ts";

/** True for the input that gives a function a client of Durable Functions. */
export const isClientBinding = ({ type, direction }: Binding): boolean =>
  direction === "in" && ["durableclient", "orchestrationclient"].includes(type.toLowerCase());

/** A hub or connection of the binding's own, which this host lacks; undefined when it names neither. */
export const foreignMember = (binding: Binding): string | undefined =>
  ["taskHub", "connectionName", "externalClient"].find(
    (member) => binding[member] !== undefined && binding[member] !== "",
  );
