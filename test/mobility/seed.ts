const given = process.env["FC_SEED"];

/** Parameters for `fc.assert`: a failing run prints its seed, and FC_SEED=<seed> replays it. */
export const seeded: { readonly seed?: number } = given === undefined ? {} : { seed: Number(given) };
