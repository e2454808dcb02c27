/**
 * A tracer that keeps its spans.
 */
import { Exit, Layer, Option, Tracer } from "effect"

/** What of a span does not depend on chance. */
export interface Kept {
  readonly name: string
  readonly parent: string | undefined
  readonly attributes: Record<string, unknown>
  readonly events: Array<string>
  status: "open" | "ok" | "error" | "interrupted"
}

const statusOf = (exit: Exit.Exit<unknown, unknown>): Kept["status"] =>
  Exit.isSuccess(exit) ? "ok" : Exit.isInterrupted(exit) ? "interrupted" : "error"

/** The spans in the order in which they begin, and the layer of the tracer that makes them. */
export const make = () => {
  const spans: Array<Kept> = []
  const tracer = Tracer.make({
    span: (name, parent, context, links, startTime, kind, options) => {
      const kept: Kept = {
        name,
        parent: Option.getOrUndefined(Option.map(parent, (span) => span._tag === "Span" ? span.name : "external")),
        attributes: { ...options?.attributes },
        events: [],
        status: "open"
      }
      spans.push(kept)
      const span: Tracer.Span = {
        _tag: "Span",
        name,
        spanId: String(spans.length),
        traceId: "trace",
        parent,
        context,
        status: { _tag: "Started", startTime },
        attributes: new Map(),
        links,
        sampled: true,
        kind,
        end: (_, exit) => {
          kept.status = statusOf(exit)
        },
        attribute: (key, value) => {
          kept.attributes[key] = value
        },
        event: (name) => {
          kept.events.push(name)
        },
        addLinks: () => {}
      }
      return span
    },
    context: (run) => run()
  })
  return { spans, layer: Layer.setTracer(tracer) }
}

/** A span in a line. */
export const line = ({ attributes, events, name, parent, status }: Kept): string =>
  [`${parent ?? "-"} > ${name}`, status, JSON.stringify(attributes), ...events].join(" ")
