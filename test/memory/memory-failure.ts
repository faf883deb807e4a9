/** Operations on the medium, as failures name them. */
export type Operation =
  /** An open that makes or empties the file. */
  | "make"
  | "open"
  | "read"
  | "write"
  | "truncate"
  | "datasync"
  | "sync"
  | "rename"
  | "remove"
  | "list"
  | "status"
  | "makeFolder";

/**
 * What goes wrong. `after`: the operation took effect; `partly`: a write first took some of its bytes. A failed sync
 * loses part of what it should have kept, as kernels do.
 */
export interface Failure {
  readonly operations: readonly Operation[];
  readonly path: RegExp;
  readonly code: "EIO" | "ENOSPC" | "EROFS";
  readonly when: "before" | "partly" | "after";
  /** How often; undefined: for ever. */
  times?: number;
}
