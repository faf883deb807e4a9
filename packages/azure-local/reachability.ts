/**
 * Whether a region answers. False: its connections are cut and new ones refused, and a client knows at once. "hangs":
 * connections are taken, and nothing is ever answered, as by most regions that are lost.
 */
export type Reachability = boolean | "hangs";
