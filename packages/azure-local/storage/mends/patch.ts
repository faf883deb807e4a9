import { changed } from "../azurite-modules.ts";

/** Undoes a change; only the contract tests use it, to show that unmended Azurite fails them. */
export type Undo = () => void;

/**
 * Replaces one method of Azurite by `make`'s wrapper around the original. Throws `internal` when there is no such
 * method.
 */
export function replaceMethod<T extends object, K extends keyof T & string>(
  target: T,
  name: K,
  make: (original: T[K]) => T[K],
): Undo {
  const original = target[name];
  if (typeof original !== "function") throw changed(`there is no function ${name}`);
  target[name] = make(original);
  return () => {
    target[name] = original;
  };
}
