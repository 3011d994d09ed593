/// What a batch did.
struct BatchReport: Sendable {
    /// Somebody else holds the lane; nothing was done.
    var laneWasBusy = false
    /// Jobs claimed, with the whole of their groups.
    var claimed = 0
    var finished = 0
    var waiting = 0
    /// Jobs left for the next round because somebody else holds their item or one of their lines.
    var left = 0
    var notifications = 0
    /// Jobs of paused stores, set aside until those are resumed.
    var paused = 0
    /// The lane's epoch, where the lane was had.
    var epoch: Int64?
    /// The lane's marks belong to another epoch, and may hide ready jobs; nothing was done.
    var marksWereStale = false
    /// An idempotency key was used before; nothing was done, and the batch has to read the keys.
    var keyWasTaken = false
    /// The keys were read, and some were used before.
    var metUsedKeys = false
    /// Waiting jobs that this batch's stock woke.
    var promoted = 0
    var applied = 0
    var rejected = 0
    /// The claim was as large as allowed, so there may be more.
    var mayHaveMore = false
    /// The last job claimed in order of work.
    var last: (priority: Int16, id: Int64)?
    /// The lowest job promoted in a lane and priority.
    var promotions: [(lane: Int16, priority: Int16, id: Int64)] = []
}
