import type { Alert } from "../alerts/decide-alert.ts";

/** Messages between slices of work. Sending twice is harmless. */
export interface WorkQueue {
  /** Delivers the message to the queue of its kind after `delayMs`. */
  send(message: WorkMessage, delayMs: number): Promise<void>;
}
export type WorkMessage =
  /** `again`: it found its item held, and was put off, once, until that claim expires. */
  | { readonly kind: "hint"; readonly itemId: string; readonly again?: true }
  | { readonly kind: "restore"; readonly itemId: string; readonly restoreId: string }
  | { readonly kind: "alert"; readonly alert: Alert };
