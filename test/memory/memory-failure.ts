/** What a process asks of the medium, as failures name it. */
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
 * What goes wrong: `after` says that the operation had its effect, `partly` that a write took some of what it was given
 * before. A failed sync loses part of what it should have kept, as kernels do.
 */
export interface Failure {
  readonly operations: readonly Operation[];
  readonly path: RegExp;
  readonly code: "EIO" | "ENOSPC" | "EROFS";
  readonly when: "before" | "partly" | "after";
  /** How often; without it for ever. */
  times?: number;
}
