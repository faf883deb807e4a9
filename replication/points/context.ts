import type { Clock, Ids, ItemStores } from "../ports.ts";
import type { PointCache } from "./point-cache.ts";

/** What every operation on a protected item needs from the outside. */
export interface ItemContext {
  readonly stores: ItemStores;
  /** The target's clock. */
  readonly clock: Clock;
  readonly ids: Ids;
  /** Manifests read by earlier sweeps of this process; without it every sweep reads all. */
  readonly points?: PointCache | undefined;
}
