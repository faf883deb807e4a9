/** For what a test has put there itself: `?? missing()`. */
export function missing(): never {
  throw new Error("what the test needs is not there");
}
