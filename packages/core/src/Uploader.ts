/**
 * The service that uploads: one destination, one strategy, one retry policy.
 *
 * All uploads of an uploader, in however many runs, share its limits, its bandwidth and its retry budget. So an
 * application makes one uploader for each destination and composes it freely: `Effect.forEach` over `uploader.upload`
 * cannot exceed what the strategy allows.
 *
 * @since 0.1.0
 */
import type * as Config from "effect/Config"
import type { ConfigError } from "effect/ConfigError"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type * as ByteSize from "./ByteSize.js"
import type * as Checksum from "./Checksum.js"
import type { Destination } from "./Destination.js"
import * as Run from "./internal/engine/run.js"
import * as Scripted from "./internal/engine/scripted.js"
import * as Uploads from "./internal/engine/uploads.js"
import * as Decode from "./internal/values/decode.js"
import type * as Limits from "./Limits.js"
import * as RetryPolicy from "./RetryPolicy.js"
import * as Strategy from "./Strategy.js"
import type { UploadError } from "./UploadError.js"
import type { UploadFile } from "./UploadFile.js"
import type * as UploadList from "./UploadList.js"
import type * as UploadReport from "./UploadReport.js"
import type { Skipped, Uploaded, UploadResult } from "./UploadResult.js"
import type * as UploadRun from "./UploadRun.js"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** How many uploads run at once, and how fast. Defaults to `Strategy.adaptive()`, which tunes itself, up to 64. */
  readonly strategy?: Strategy.Strategy | undefined
  /**
   * Limits that hold for the uploads of this uploader together with those of all others that have them, besides its own
   * strategy and memory: see `Limits.shared`. Defaults to none.
   */
  readonly within?: Limits.Limits | undefined
  /**
   * Asked before each start of a request: the last thing that a request waits for, so that what the gate has found out
   * still holds when it begins. It is asked for one request at a time, so that those that waited at a closed gate start
   * no faster than the strategy allows; a gate that takes 10 milliseconds allows 100 starts per second. An interruption
   * that has to abort a multipart upload waits at a closed gate, for up to two minutes. Defaults to none.
   */
  readonly gate?: Effect.Effect<void> | undefined
  /** When failed attempts are retried. Defaults to `RetryPolicy.make()`. */
  readonly retry?: RetryPolicy.RetryPolicy | undefined
  /**
   * How much memory all uploads together may use for bytes. Uploads that find no memory left wait in FIFO order.
   * Defaults to 256 MiB.
   */
  readonly memory?: ByteSize.ByteSizeInput | undefined
  /** Files larger than this go up in parts if the destination takes parts. Defaults to 8 MiB. */
  readonly multipartThreshold?: ByteSize.ByteSizeInput | undefined
  /** The size of a part. It grows if a file would have more parts than the destination takes. Defaults to 8 MiB. */
  readonly partSize?: ByteSize.ByteSizeInput | undefined
  /** Parts of one file in flight, at most. Defaults to the number of uploads that the strategy allows. */
  readonly partConcurrency?: number | undefined
  /**
   * The checksum that is sent with the bytes and verified. Defaults to the one that the destination prefers, if it
   * supports any.
   */
  readonly checksum?: Checksum.Algorithm | "none" | undefined
  /**
   * What has a span: `run`, each `uploadAll`, and each `upload`; `file`, also each file of a list, as `Uploader.upload`;
   * `attempt`, also each attempt of a file and each request of a multipart upload, such as `Uploader.part`. Spans of
   * files cost about 10 µs each. Defaults to `run`.
   */
  readonly tracing?: "run" | "file" | "attempt" | undefined
}

/**
 * The options' defaults.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaults = {
  strategy: Strategy.adaptive(),
  retry: RetryPolicy.make(),
  memory: "256 MiB",
  multipartThreshold: "8 MiB",
  partSize: "8 MiB",
  partConcurrency: Infinity,
  tracing: "run"
} as const satisfies Options

/**
 * The options of a single upload.
 *
 * @since 0.1.0
 * @category models
 */
export interface UploadOptions<E = never, R = never>
  extends Pick<UploadRun.Options<E, R>, "onEvent" | "onInterrupt" | "onSourceChange" | "stallTimeout">
{}

/**
 * @since 0.1.0
 * @category tags
 */
export class Uploader extends Context.Tag("@sluice/core/Uploader")<Uploader, {
  /**
   * Uploads one file under the uploader's limits and retry policy, in one round of attempts, and returns its result. It
   * composes as any effect: many at once with `Effect.forEach`, where they share the uploader's limits with each other
   * and with its runs, more attempts with `Effect.retry`, an end in time with `Effect.timeout`. Interrupting it
   * interrupts the request, and aborts or keeps a multipart upload.
   *
   * The result is `Skipped` if a `Journal` records that an earlier process uploaded exactly this file and a look shows
   * that the object is there, and if the file changes meanwhile and `onSourceChange` is `skip`. The journal forgets what
   * single uploads have finished when the uploader's scope ends in success and none has failed.
   */
  readonly upload: {
    <E = never, R = never>(
      file: UploadFile,
      options?: UploadOptions<E, R>
    ): Effect.Effect<Uploaded | Skipped, UploadError | E, R>
    /** For `Effect.forEach(files, uploader.upload)`, which also passes an index. */
    (file: UploadFile, index: number): Effect.Effect<Uploaded | Skipped, UploadError>
  }
  /**
   * Uploads all files of a list and returns a report. A failed file is in the report, not in the error channel, which
   * carries only the list's own errors. Interrupting the effect interrupts everything that it started.
   */
  readonly uploadAll: <Files extends UploadList.Any, E = never, R = never>(
    files: Files,
    options?: UploadRun.Options<E, R>
  ) => Effect.Effect<UploadReport.UploadReport, UploadList.ErrorOf<Files> | E, UploadList.ContextOf<Files> | R>
  /**
   * Uploads all files of a list as a stream of their results, in the order in which they come. Nothing happens before
   * the stream is run, a slow reader slows the uploads, and leaving the stream interrupts them. A failed file is an
   * element; the stream fails with the list's own errors, after the results of all files before.
   */
  readonly stream: <Files extends UploadList.Any, E = never, R = never>(
    files: Files,
    options?: UploadRun.Options<E, R>
  ) => Stream.Stream<UploadResult, UploadList.ErrorOf<Files> | E, UploadList.ContextOf<Files> | R>
  /** Starts uploading a list and returns the run, to watch and to steer. */
  readonly start: <Files extends UploadList.Any, E = never, R = never>(
    files: Files,
    options?: UploadRun.Options<E, R>
  ) => Effect.Effect<
    UploadRun.UploadRun<UploadList.ErrorOf<Files> | E>,
    never,
    UploadList.ContextOf<Files> | R | Scope.Scope
  >
  /** The live limits of this uploader. */
  readonly limits: Limits.Limits
}>() {}

/**
 * Makes an uploader for the destination in the context. Its strategy's controllers run in the scope. Dies with a
 * `RangeError` if an option is invalid. With a `Journal` in the context, uploads resume where an earlier process left
 * off.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options = {}): Effect.Effect<Uploader["Type"], never, Destination | Scope.Scope> =>
  Effect.gen(function*() {
    const { env, upload } = yield* Uploads.make({
      strategy: options.strategy ?? defaults.strategy,
      within: options.within,
      gate: options.gate,
      retry: options.retry ?? defaults.retry,
      memory: options.memory ?? defaults.memory,
      multipartThreshold: options.multipartThreshold ?? defaults.multipartThreshold,
      partSize: options.partSize ?? defaults.partSize,
      partConcurrency: options.partConcurrency ?? defaults.partConcurrency,
      checksum: options.checksum,
      tracing: options.tracing ?? defaults.tracing
    })
    const byDefault = Run.decode(env, {})
    function one<E = never, R = never>(
      file: UploadFile,
      uploadOptions?: UploadOptions<E, R>
    ): Effect.Effect<Uploaded | Skipped, UploadError | E, R>
    function one(file: UploadFile, index: number): Effect.Effect<Uploaded | Skipped, UploadError>
    function one<E, R>(file: UploadFile, uploadOptions: UploadOptions<E, R> | number = {}) {
      // E and R are those of the callback, which runs in a fiber of the caller's.
      return Effect.suspend(() =>
        upload(file, typeof uploadOptions === "number" ? byDefault : Run.decode(env, uploadOptions))
      ) as Effect.Effect<Uploaded | Skipped, UploadError>
    }
    return Uploader.of({
      limits: env.limits,
      start: (files, runOptions) => Run.make(env, files, runOptions),
      stream: (files, runOptions) => Run.stream(env, files, runOptions),
      uploadAll: (files, runOptions) =>
        Effect.scoped(Effect.flatMap(Run.make(env, files, runOptions), (run) => run.report)).pipe(
          Effect.tap((report) => Effect.annotateCurrentSpan(attributesOf(report))),
          Effect.withSpan("Uploader.uploadAll", { attributes: { "sluice.destination": env.destination.name } })
        ),
      upload: one
    })
  })

/**
 * An uploader for the destination in the context.
 *
 * @example
 * ```ts
 * import * as assert from "node:assert"
 * import { Strategy, Uploader, UploadFile } from "@sluice/core"
 * import * as Simulated from "@sluice/core/destinations/Simulated"
 * import { Effect, Layer } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const uploader = yield* Uploader.Uploader
 *   const report = yield* uploader.uploadAll([
 *     UploadFile.fromText("a.txt", "first"),
 *     UploadFile.fromText("b.txt", "second")
 *   ])
 *   assert.strictEqual(report.files.uploaded, 2)
 * })
 *
 * const UploaderLayer = Uploader.layer({ strategy: Strategy.workerPool({ workers: 8 }) }).pipe(
 *   Layer.provide(Simulated.layer())
 * )
 *
 * Effect.runPromise(Effect.provide(program, UploaderLayer))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options = {}): Layer.Layer<Uploader, never, Destination> =>
  Layer.scoped(Uploader, make(options))

/**
 * An uploader whose options come from the configuration: each is a `Config`. An option that the program decides itself
 * is a `Config.succeed`. Invalid values are `InvalidData`, also those that {@link make} refuses.
 *
 * @example
 * ```ts
 * import { ByteSize, Strategy, Uploader } from "@sluice/core"
 * import { Config } from "effect"
 *
 * const UploaderLayer = Uploader.layerConfig({
 *   strategy: Strategy.config("STRATEGY"),
 *   memory: Config.withDefault(ByteSize.config("MEMORY"), undefined),
 *   checksum: Config.succeed("md5")
 * })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (config: Config.Config.Wrap<Options>): Layer.Layer<Uploader, ConfigError, Destination> =>
  Layer.scoped(Uploader, Decode.configured(config, make))

/**
 * The tag of an uploader of one's own, for applications with several destinations.
 *
 * @since 0.1.0
 * @category tags
 */
export interface TagClass<Self, Id extends string> extends Context.TagClass<Self, Id, Uploader["Type"]> {
  /** As {@link layer}, for this tag. */
  readonly layer: (options?: Options) => Layer.Layer<Self, never, Destination>
  /** As {@link layerConfig}, for this tag. */
  readonly layerConfig: (config: Config.Config.Wrap<Options>) => Layer.Layer<Self, ConfigError, Destination>
  /** As {@link layerTest}, for this tag. */
  readonly layerTest: (options?: TestOptions) => Layer.Layer<Self | TestUploads>
}

/**
 * Makes the tag of an uploader of one's own. Each has its own destination, which is given to its layer, and its own
 * limits, unless they are `within` shared ones.
 *
 * @example
 * ```ts
 * import { Uploader } from "@sluice/core"
 * import * as Simulated from "@sluice/core/destinations/Simulated"
 * import { Layer } from "effect"
 *
 * class Avatars extends Uploader.Tag("Avatars")<Avatars>() {}
 * class Exports extends Uploader.Tag("Exports")<Exports>() {}
 *
 * const UploadersLayer = Layer.merge(
 *   Layer.provide(Avatars.layer(), Simulated.layer()),
 *   Layer.provide(Exports.layer({ partSize: "64 MiB" }), Simulated.layer())
 * )
 * ```
 *
 * @since 0.1.0
 * @category tags
 */
export const Tag = <const Id extends string>(id: Id) => <Self>(): TagClass<Self, Id> => {
  const tag = Context.Tag(id)<Self, Uploader["Type"]>()
  return Object.assign(tag, {
    layer: (options?: Options) => Layer.scoped(tag, make(options)),
    layerConfig: (config: Config.Config.Wrap<Options>) => Layer.scoped(tag, Decode.configured(config, make)),
    layerTest: (options?: TestOptions) => layerTestOf(tag, options)
  })
}

/**
 * The options of {@link layerTest}.
 *
 * @since 0.1.0
 * @category models
 */
export interface TestOptions {
  /**
   * What becomes of a file: a result, or the error that it fails with. An effect of nothing stands for `Uploaded`, in
   * one attempt. Defaults to that for every file.
   */
  readonly upload?: ((file: UploadFile) => Effect.Effect<Uploaded | Skipped | void, UploadError>) | undefined
}

/**
 * What has been given to the uploader of {@link layerTest}.
 *
 * @since 0.1.0
 * @category tags
 */
export class TestUploads extends Context.Tag("@sluice/core/Uploader/TestUploads")<TestUploads, {
  /** All files so far, in order, whatever became of them. */
  readonly files: Effect.Effect<ReadonlyArray<UploadFile>>
}>() {}

/**
 * An uploader for the tests of applications, which needs no destination: it uploads nothing, and answers as its script
 * says. Lists are taken one file at a time, and end in a true report. Streams of results and events give all of them,
 * whenever they are read; the only events are `UploadFinished`. Nothing is read, retried or limited.
 *
 * To test what the uploader itself does, use the destination `Simulated` and `testing/VirtualClock`.
 *
 * @example
 * ```ts
 * import * as assert from "node:assert"
 * import { UploadError, Uploader, UploadFile } from "@sluice/core"
 * import { Effect } from "effect"
 *
 * // What is to be tested: a picture that cannot be stored is replaced by a default.
 * const publish = (name: string) =>
 *   Effect.flatMap(Uploader.Uploader, ({ upload }) => upload(UploadFile.fromText(name, "..."))).pipe(
 *     Effect.as(name),
 *     Effect.catchTag("Conflict", () => Effect.succeed("default"))
 *   )
 *
 * const conflict = new UploadError.Conflict({ detail: "It is there." })
 *
 * const test = Effect.gen(function*() {
 *   assert.deepStrictEqual(yield* Effect.forEach(["good", "bad"], publish), ["good", "default"])
 *   const { files } = yield* Uploader.TestUploads
 *   assert.deepStrictEqual((yield* files).map(({ key }) => key), ["good", "bad"])
 * }).pipe(
 *   Effect.provide(Uploader.layerTest({ upload: ({ key }) => key === "bad" ? Effect.fail(conflict) : Effect.void }))
 * )
 *
 * Effect.runPromise(test)
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerTest = (options: TestOptions = {}): Layer.Layer<Uploader | TestUploads> =>
  layerTestOf(Uploader, options)

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const attributesOf = ({ bytes, ended, files }: UploadReport.UploadReport) => ({
  "sluice.ended": ended,
  "sluice.files.uploaded": files.uploaded,
  "sluice.files.skipped": files.skipped,
  "sluice.files.failed": files.failed,
  "sluice.files.interrupted": files.interrupted,
  "sluice.bytes.uploaded": bytes.uploaded
})

const layerTestOf = <Self>(
  tag: Context.Tag<Self, Uploader["Type"]>,
  options: TestOptions = {}
): Layer.Layer<Self | TestUploads> =>
  Layer.effectContext(Effect.sync(() => {
    const { files, uploader } = Scripted.make(options.upload)
    return Context.add(Context.make(tag, uploader), TestUploads, { files })
  }))
