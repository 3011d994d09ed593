import StockModel

/// The ready jobs of one store in one lane with one priority, in the order of their ids. A claim reads a strand from its
/// first job on.
///
/// Its number is the column `strand` of the jobs: see the function `strand_of`.
package struct Strand: Hashable, Comparable, Sendable {
    package let rawValue: Int32

    package init(rawValue: Int32) { self.rawValue = rawValue }

    /// The bits of the priority.
    fileprivate static let priorityMask = Int32(JobRequest.priorityMax - 1)

    var lane: Int16 { Int16(rawValue >> 24) }
    var priority: Int16 { Int16(rawValue & Self.priorityMask) + 1 }
    package var store: StoreInLane { StoreInLane(of: self) }

    package static func < (left: Strand, right: Strand) -> Bool { left.rawValue < right.rawValue }
}

/// One store in one lane: its strands of all priorities.
package struct StoreInLane: Hashable, Sendable {
    /// The number of its strand with the highest priority.
    let firstStrand: Int32

    fileprivate init(of strand: Strand) { firstStrand = strand.rawValue & ~Strand.priorityMask }

    /// - Parameter priority: from 1 on.
    package func strand(_ priority: Int16) -> Strand { Strand(rawValue: firstStrand + Int32(priority) - 1) }

    package var lane: Int16 { strand(1).lane }

    /// The bits of the store, the same in all lanes.
    var storeHash: Int32 { firstStrand & 0xFF_FFFF }
}

/// What a claim has taken of a strand.
package struct ClaimedStrand {
    package var strand: Strand
    package var jobs: Int
    /// The last job that it took; `Int64.max` where it went on to the store's next strand, because this one had no more.
    package var lastID: Int64

    package init(strand: Strand, jobs: Int, lastID: Int64) {
        (self.strand, self.jobs, self.lastID) = (strand, jobs, lastID)
    }
}
