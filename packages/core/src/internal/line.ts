/**
 * A line of waiters: joined at its end, served from its front, left from anywhere, each in constant time.
 *
 * (A `Set` keeps the order too, but finding its first element walks over all that were deleted before it.)
 */
export interface Place<A> {
  readonly value: A
  previous: Place<A> | undefined
  next: Place<A> | undefined
  inLine: boolean
}

export class Line<A> {
  size = 0
  first: Place<A> | undefined = undefined
  private last: Place<A> | undefined = undefined

  join(value: A): Place<A> {
    const place: Place<A> = { value, previous: this.last, next: undefined, inLine: true }
    if (this.last === undefined) this.first = place
    else this.last.next = place
    this.last = place
    this.size += 1
    return place
  }

  /** Answers whether the place was still in line. */
  leave(place: Place<A>): boolean {
    if (!place.inLine) return false
    place.inLine = false
    if (place.previous === undefined) this.first = place.next
    else place.previous.next = place.next
    if (place.next === undefined) this.last = place.previous
    else place.next.previous = place.previous
    this.size -= 1
    // Who has left leads to nobody: a chain of all who ever waited would keep the young alive for the old.
    place.previous = undefined
    place.next = undefined
    return true
  }
}
