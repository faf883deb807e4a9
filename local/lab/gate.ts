/** Lets a loop pass while open, and makes it wait while closed. */
export interface Gate {
  /** Resolves when the gate is open. */
  pass(): Promise<void>;
  close(): void;
  open(): void;
}

export function createGate(): Gate {
  let waiting: PromiseWithResolvers<void> | undefined;
  return {
    pass: () => waiting?.promise ?? Promise.resolve(),
    close: () => {
      waiting ??= Promise.withResolvers<void>();
    },
    open: () => {
      waiting?.resolve();
      waiting = undefined;
    },
  };
}
