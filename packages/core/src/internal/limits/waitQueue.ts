/**
 * A line of waiters: joined at its end, served from its front, left from anywhere, each in constant time.
 *
 * (A `Set` keeps the order too, but finding its first element walks over all that were deleted before it.)
 */
export class Place<A> {
  readonly value: A
  previous: Place<A> | undefined
  next: Place<A> | undefined = undefined
  inLine = true

  constructor(value: A, previous: Place<A> | undefined) {
    this.value = value
    this.previous = previous
  }
}

export class WaitQueue<A> {
  size = 0
  first: Place<A> | undefined = undefined
  private last: Place<A> | undefined = undefined

  join(value: A): Place<A> {
    const place = new Place(value, this.last)
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
    // A chain of all who ever waited would keep the young alive for the old.
    place.previous = undefined
    place.next = undefined
    return true
  }
}
