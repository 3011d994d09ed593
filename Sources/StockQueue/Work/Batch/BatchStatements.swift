/// Every statement of the batch transaction, in the order in which a batch uses them.
///
/// The sessions of workers run with hash joins, merge joins, sequential and bitmap scans off (see
/// `WorkerSettings.session`), because the right plan for all of these is the same whatever the statistics say: follow
/// the index, or go straight to the row.
struct BatchStatements: Sendable {
    let nameLane = NameLaneStatement()
    let lockLane: LockLaneStatement
    let claim: ClaimStatement
    let claimUnlocked: ClaimStatement
    let claimByID: ClaimByIDStatement
    let countUpTo: CountUpToStatement
    let readUpTo: ReadUpToStatement
    let findEndedTransactions = FindEndedTransactionsStatement()
    let countGroups: CountGroupsStatement
    let claimGroups: ClaimGroupsStatement
    let readGroups: ReadGroupsStatement
    let markTooLargeGroups: MarkTooLargeGroupsStatement
    let unmarkTooLargeGroups: UnmarkTooLargeGroupsStatement
    let readPausedStores: ReadPausedStoresStatement
    let pauseJobs: PauseJobsStatement
    let readKeys: ReadKeysStatement
    let lockCachedItems: LockCachedItemsStatement
    let lockItems: LockItemsStatement
    let lockUnlockedItems: LockUnlockedItemsStatement
    let readItems: ReadItemsStatement
    let readImmediateAccess: ReadImmediateAccessStatement
    let drawJobIDs: DrawJobIDsStatement
    let readCounts: ReadCountsStatement
    let useKeys: UseKeysStatement
    let writeItems: WriteItemsStatement
    let writeResults: WriteResultsStatement
    let deleteFinished: DeleteFinishedStatement
    let writeImmediateResults: WriteImmediateResultsStatement
    let writeNotifications: WriteNotificationsStatement
    let writeChangeLog: WriteChangeLogStatement
    let sendFeedHint: SendFeedHintStatement
    let deferWaiting: DeferWaitingStatement
    let promoteWaiting: PromoteWaitingStatement
    let retryLater: RetryLaterStatement
    let checkConstraints = CheckConstraintsStatement()
    let writeFailures: WriteFailuresStatement
    let writeFailuresAsText: WriteFailuresStatement

    init(_ schema: QueueSchema) {
        lockLane = LockLaneStatement(schema)
        claim = ClaimStatement(schema)
        claimUnlocked = ClaimStatement(schema, skipsLocked: true)
        claimByID = ClaimByIDStatement(schema)
        countUpTo = CountUpToStatement(schema)
        readUpTo = ReadUpToStatement(schema)
        countGroups = CountGroupsStatement(schema)
        claimGroups = ClaimGroupsStatement(schema)
        readGroups = ReadGroupsStatement(schema)
        markTooLargeGroups = MarkTooLargeGroupsStatement(schema)
        unmarkTooLargeGroups = UnmarkTooLargeGroupsStatement(schema)
        readPausedStores = ReadPausedStoresStatement(schema)
        pauseJobs = PauseJobsStatement(schema)
        readKeys = ReadKeysStatement(schema)
        lockCachedItems = LockCachedItemsStatement(schema)
        lockItems = LockItemsStatement(schema)
        lockUnlockedItems = LockUnlockedItemsStatement(schema)
        readItems = ReadItemsStatement(schema)
        readImmediateAccess = ReadImmediateAccessStatement(schema)
        drawJobIDs = DrawJobIDsStatement(schema)
        readCounts = ReadCountsStatement(schema)
        useKeys = UseKeysStatement(schema)
        writeItems = WriteItemsStatement(schema)
        writeResults = WriteResultsStatement(schema)
        deleteFinished = DeleteFinishedStatement(schema)
        writeImmediateResults = WriteImmediateResultsStatement(schema)
        writeNotifications = WriteNotificationsStatement(schema)
        writeChangeLog = WriteChangeLogStatement(schema)
        sendFeedHint = SendFeedHintStatement(schema)
        deferWaiting = DeferWaitingStatement(schema)
        promoteWaiting = PromoteWaitingStatement(schema)
        retryLater = RetryLaterStatement(schema)
        writeFailures = WriteFailuresStatement(schema, asText: false)
        writeFailuresAsText = WriteFailuresStatement(schema, asText: true)
    }

    /// The statements of nearly every batch, to be planned before the first one.
    ///
    /// - Parameter skipsLocked: the claims skip locked jobs.
    func usual(skipsLocked: Bool) -> [Statement] {
        let claims: [any QueueStatement] = skipsLocked ? [claimUnlocked, countUpTo] : [claim]
        let others: [any QueueStatement] = [
            lockLane, lockCachedItems, lockItems, writeItems, writeResults, deleteFinished, writeNotifications,
            writeChangeLog,
        ]
        return (claims + others).map(\.statement)
    }
}
