export interface Mutant {
  readonly file: string
  readonly mutator: string
  readonly original: string
  readonly replacement: string
}
export interface Named extends Mutant {
  readonly name: string
}
export declare const named: (mutants: ReadonlyArray<Mutant>) => ReadonlyArray<Named>
export declare const draw: (
  mutants: ReadonlyArray<Named>,
  options: { readonly sample: number; readonly seed: number }
) => ReadonlyArray<Named>
