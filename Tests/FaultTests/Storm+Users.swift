import Foundation
import StockQueuePostgres
import TestSupport
import Testing

/// Faults of the other users of the database.
extension Storm {
    // MARK: a hung producer

    /// A producer inserts jobs and leaves its transaction open for a while.
    func hangProducer() {
        let sql = rig.shops.nextJobs(1 + random.below(20), store: random.below(Self.stores))
        let ending = random.pick(HungProducer.Ending.allCases)
        let open = 500 + random.below(12_000)
        hungProducers.append(
            Background { [database = rig.database] in
                do {
                    let producer = try waitingForServer { try HungProducer(database, sql) }
                    pause(milliseconds: open)
                    try producer.end(ending)
                } catch let error as PostgresError where error.isTransient {
                    // Another fault ended its session. The oracle knows whether the COMMIT took effect.
                }
            })
    }

    /// Waits until the last of them has ended.
    func waitForHungProducers() throws {
        for producer in hungProducers { try producer.wait() }
        hungProducers = []
    }

    // MARK: a held reader

    /// A reader leaves its transaction open, and an administrator runs `stockq migrate`. If it has nothing to do, it does
    /// not wait for the reader. Otherwise it may wait or give up, and producers and workers continue meanwhile.
    func migrateBesideReader() throws {
        let hasWork = random.chance(1, in: 2)
        if hasWork { try waitingForServer { try rig.database.run(Self.dropPolicySQL) } }
        var reader = try waitingForServer { Optional(try HeldReader(rig.database)) }
        var migration = try Program(rig.database).start(["migrate"])
        if hasWork {
            try expectJobFinishes(of: "item-1", store: random.below(Self.stores), "beside a migrate that waits")
            reader = nil
        }
        var ended = try end(migration)
        // Another fault, of a moment ago, may have ended its session; or it gave up.
        for _ in 1...2 where ended.code > 0 {
            migration = try Program(rig.database).start(["migrate"])
            ended = try end(migration)
        }
        expect(ended.code == 0, "migrate beside a held reader ended with \(ended.code): \(ended.err)")
        withExtendedLifetime(reader) {}
    }

    /// Drops a policy of the roles. The next migrate creates it again, under a lock that a reader of the results withholds.
    private static let dropPolicySQL = """
        DO $$
        DECLARE
            dropped text;
        BEGIN
            SELECT polname INTO dropped FROM pg_policy
            WHERE polrelid = 'stockq.results'::regclass AND pg_get_expr(polqual, polrelid) = 'true'
            ORDER BY 1 LIMIT 1;
            IF FOUND THEN
                EXECUTE format('DROP POLICY %I ON stockq.results', dropped);
            END IF;
            DELETE FROM stockq.migrations WHERE name = 'roles.sql';
        END
        $$
        """

    /// Waits for a `stockq migrate`, for at most 30 s.
    private func end(_ migration: Program.Running) throws -> Program.Ended {
        if !eventually(seconds: 30, { migration.hasEnded }) { migration.send(SIGKILL) }
        return try migration.wait()
    }

    /// Enqueues a job beside the producers, and waits for its result.
    private func expectJobFinishes(of item: String, store: Int, _ circumstance: String) throws {
        probes += 1
        let probe = "probe-\(probes)"
        let start = Stopwatch()
        do {
            try rig.enqueueOnce(named: probe, "SELECT 'store-\(store)', '\(item)', 1, '\(probe)', 10")
            _ = try eventually(seconds: 30) {
                try waitingForServer {
                    try rig.database.value("SELECT count(*) FROM stockq.results WHERE reference = '\(probe)'") == "1"
                }
            }
        } catch let error as PostgresError where error.isTransient {
            tally.say("\(probe): \(error)")
        }
        expect(start.milliseconds < 30_000, "\(circumstance), \(probe) of \(item) in store-\(store) is not finished")
    }

    // MARK: a user's trigger

    /// A user's trigger raises for a while: for one item, or at random. Some jobs beside those of the producers have
    /// one attempt, and fail. While it raises for one item, the jobs of items that share no group with it go on. Items
    /// that share one wait with it, because jobs of an item are applied in their order, and a group is applied whole.
    func raiseInTrigger() throws {
        raised += 1
        let table = random.pick(RaisingTrigger.Table.allCases)
        let store = random.below(Self.stores)
        let item = random.chance(1, in: 2) ? "item-2" : nil
        let lasts = 500 + random.below(2_500)
        try waitingForServer {
            try RaisingTrigger.stop(in: rig.database)
            try RaisingTrigger.start(in: rig.database, table, item: item, chance: item == nil ? 0.02 : 1)
        }
        try rig.enqueueOnce(
            named: "raised-\(raised)",
            """
            SELECT 'store-\(store)', 'item-' || n % 4, 1, 'raised-\(raised)', 1 FROM generate_series(1, 20) AS n
            """)
        if item != nil {
            try expectJobFinishes(of: Self.otherItem, store: store, "beside a trigger that raises for item-2")
        }
        pause(milliseconds: lasts)
        try waitingForServer { try RaisingTrigger.stop(in: rig.database) }
    }

    // MARK: giant groups

    /// A group with as many lines as a group may have, or one more, which must not be applied.
    func enqueueGiantGroup() throws {
        giantGroups += 1
        let lines = GiantGroup.linesMax + random.below(2)
        let isAccepted = try rig.enqueueGiantGroup(lines: lines, store: random.below(Self.stores), number: giantGroups)
        expect(isAccepted || lines > GiantGroup.linesMax, "a group of \(lines) lines was not accepted")
    }
}
