/**
 * Whether a region answers. False: its connections are cut and new ones refused, and a client notices at once. "hangs":
 * it accepts connections and never answers, like most lost regions.
 */
export type Reachability = boolean | "hangs";
