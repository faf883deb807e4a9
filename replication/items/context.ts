import type { Clock, Ids, ItemStores } from "../ports.ts";

/** What every act on a protected item needs from the outside. */
export interface ItemContext {
  readonly stores: ItemStores;
  /** The target's clock. */
  readonly clock: Clock;
  readonly ids: Ids;
}
