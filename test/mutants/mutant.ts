/**
 * One small fault that somebody could make, planted in a copy of the sources: the tests that it names must notice it.
 */
export interface Mutant extends Edit {
  /** Says what the planted fault does. */
  readonly name: string;
  /** What goes wrong for an operator if nobody notices. */
  readonly why: string;
  /** Test files, few and fast, at least one of which must fail. */
  readonly tests: readonly string[];
  /** Further changes that belong to the same fault. */
  readonly also?: readonly Edit[];
  /**
   * Histories of the whole-product simulation that are run when no test has failed: for faults that only lie between
   * parts.
   */
  readonly histories?: number;
  /** Why nothing can notice it, whatever is tested. Such a mutant must survive. */
  readonly equivalent?: string;
}

export interface Edit {
  readonly file: string;
  /** Stands in the file exactly once. */
  readonly find: string;
  readonly replace: string;
}

/**
 * The text after the change. Throws when `find` does not stand there exactly once: the code has moved on, and the
 * mutant has to follow.
 */
export function applied({ file, find, replace }: Edit, text: string): string {
  const count = text.split(find).length - 1;
  if (count !== 1 || find === replace) throw new Error(`${file} has this ${count} times: ${find}`);
  return text.replace(find, () => replace);
}

export function editsOf(mutant: Mutant): readonly Edit[] {
  return [mutant, ...(mutant.also ?? [])];
}

/** The folder at the top that the fault lies in. */
export function areaOf({ file }: Mutant): string {
  return file.slice(0, file.indexOf("/"));
}
