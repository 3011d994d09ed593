import Foundation
import PrivateCluster
import StockQueuePostgres
import TestSupport
import Testing

/// `stockq doctor`, `stockq workers` and `stockq stats --by` on the command line.
@Suite("Doctor, workers and backlog") struct DoctorCommandTests {
    @Test("doctor ends with 1 and a sentence for each finding, with 0 without one, with 3 where it cannot check")
    func exitCodes() async throws {
        try await withDatabase { database in
            let found = try Program(database).run(["doctor"])
            #expect(found.code == 1)
            #expect(
                found.out.contains("workers: no worker is connected to this database, and at least 1 is expected"),
                "\(found.out)")
            let json = try Program(database).run(["doctor", "--json"]).out.split(separator: "\n")
            let checks = try json.map { try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: String] }
            #expect(checks.contains { $0?["check"] == "workers" && $0?["finding"]?.hasPrefix("no worker") == true })
            let role = "doctor_of_\(database.name)"
            try database.run("CREATE ROLE \(role) LOGIN; GRANT stockq_producer TO \(role)")
            var program = Program()
            program.environment["DATABASE_URL"] = database.url.replacingOccurrences(of: "stockq@", with: "\(role)@")
            let refused = try program.run(["doctor"])
            #expect(refused.code == 3 && refused.err.contains("may not read all rows of the queue"), "\(refused.err)")
            try database.run("GRANT stockq_reader TO \(role)")
            let asReader = try program.run(["doctor"])
            #expect(asReader.code == 1)
            #expect(asReader.err.contains("transactions of other roles were not checked"), "\(asReader.err)")
            try database.run("DROP OWNED BY \(role); DROP ROLE \(role)")
            program.environment["DATABASE_URL"] = "postgresql://me@/x?host=/nowhere"
            #expect(try program.run(["doctor"]).code == 3)
            #expect(try Program(database).run(["doctor", "--max-age", "soon"]).code == 2)
        }
    }

    @Test("doctor finds nothing on a durable server with a running worker") func healthy() async throws {
        try await onThread {
            let cluster = try PrivateCluster(name: "stockq-doctor", options: PrivateCluster.Options())
            defer { cluster.stop() }
            let database = try TestDatabase(on: cluster)
            #expect(try Program(database).run(["migrate"]).code == 0)
            let worker = try Program(database).start(["run", "--workers", "1", "--log-level", "error"])
            #expect(
                try eventually {
                    let ended = try Program(database).run(["doctor"])
                    return ended.code == 0 && ended.out == "nothing is wrong\n"
                })
            let sessions = try Program(database).run(["workers", "--csv"]).out
            #expect(sessions.contains("stockq run worker 1,") && sessions.contains("stockq run poller,"), "\(sessions)")
            #expect(try Program(database).run(["stats"]).out.contains("workers      1 connected\n"))
            worker.send(SIGTERM)
            #expect(try worker.wait().code == 0)
        }
    }

    @Test("workers ends with 1 where no worker is connected") func noWorker() async throws {
        try await withDatabase { database in
            let ended = try Program(database).run(["workers"])
            #expect(ended.code == 1 && ended.err == "no worker is connected; start one with: stockq run\n")
        }
    }

    @Test("workers are listed by their service, whatever name the environment gives the program")
    func nameOfEnvironment() async throws {
        try await withDatabase { database in
            var program = Program(database)
            program.environment["PGAPPNAME"] = String(repeating: "the stock of all shops, ", count: 5)
            let worker = try program.start(["run", "--workers", "1", "--log-level", "error"])
            #expect(try eventually { try program.run(["workers", "--csv"]).out.contains(" worker 1\",") })
            #expect(try program.run(["stats"]).out.contains("workers      1 connected"))
            worker.send(SIGTERM)
            #expect(try worker.wait().code == 0)
        }
    }

    @Test("a disk of the server that is nearly full is a finding, for a role that may see where the files are")
    func disk() async throws {
        try await withDatabase { database in
            let options = ["doctor", "--min-workers", "0", "--min-disk"]
            // No disk is quite empty.
            let full = try Program(database).run(options + ["100"])
            #expect(full.code == 1)
            #expect(
                full.out.contains(/disk: \d+ % \(\d+ MiB\) of the disk of \/.+ is free; on a full disk/), "\(full.out)")
            let unchecked = try Program(database).run(options + ["0"])
            #expect(!unchecked.out.contains("disk: "), "\(unchecked.out)")
            let reader = "disk_of_\(database.name)"
            try database.run("CREATE ROLE \(reader) LOGIN; GRANT stockq_reader TO \(reader)")
            var program = Program()
            program.environment["DATABASE_URL"] = database.settings(as: reader).conninfo
            let hidden = try program.run(options + ["100"])
            #expect(!hidden.out.contains("disk: "), "\(hidden)")
            try database.run("DROP OWNED BY \(reader); DROP ROLE \(reader)")
        }
    }

    @Test("what a role may not see of a worker's session is shown as hidden") func hiddenState() async throws {
        try await withDatabase { database in
            var settings = database.settings
            settings.applicationName = "shop worker 1"
            let worker = try Connection(settings)
            let reader = "workers_of_\(database.name)"
            try database.run("CREATE ROLE \(reader) LOGIN; GRANT stockq_reader TO \(reader)")
            var program = Program()
            program.environment["DATABASE_URL"] = database.settings(as: reader).conninfo
            try withExtendedLifetime(worker) {
                let columns = { (csv: String) in
                    csv.split(separator: "\n").dropFirst().map {
                        $0.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
                    }
                }
                let asOwner = try Program(database).run(["workers", "--csv"])
                #expect(columns(asOwner.out).map { [$0[0], $0[2], $0[5]] } == [["shop worker 1", "local", "idle"]])
                #expect(asOwner.err == "")
                let asReader = try program.run(["workers", "--csv"])
                #expect(
                    columns(asReader.out).map { [$0[0]] + $0[2...] } == [
                        ["shop worker 1", "hidden", "stockq", "", "hidden", ""]
                    ])
                #expect(asReader.code == 0 && asReader.err.contains("is hidden, because this role lacks the rights"))
            }
            try database.run("DROP OWNED BY \(reader); DROP ROLE \(reader)")
        }
    }

    @Test("stats shows the queued jobs by store, by lane and by item, those with the most ready jobs first")
    func backlog() async throws {
        try await withDatabase { database in
            try database.run(
                """
                INSERT INTO stockq.jobs (store_id, item_id, quantity, run_at) VALUES
                    ('oslo', 'mug', -1, NULL), ('berlin', 'mug', -1, NULL), ('berlin', 'cup', -2, NULL),
                    ('berlin', 'cup', -3, now() + interval '1 hour')
                """)
            func rows(_ group: String) throws -> [[String]] {
                try Program(database).run(["stats", "--by", group, "--csv"]).out.split(separator: "\n").dropFirst()
                    .map { $0.split(separator: ",", omittingEmptySubsequences: false).map(String.init) }
            }
            #expect(try rows("store").map { Array($0[0...2]) } == [["berlin", "2", "1"], ["oslo", "1", "0"]])
            #expect(
                try rows("item").map { Array($0[0...4]) + [$0[9]] } == [
                    ["berlin", "cup", "main", "1", "1", "-5"], ["berlin", "mug", "main", "1", "0", "-1"],
                    ["oslo", "mug", "main", "1", "0", "-1"],
                ])
            let lanes = try rows("lane")
            #expect(lanes.map { Array($0[1...2]) } == [["2", "1"], ["1", "0"]])
            #expect(lanes.map { $0[8] } == ["berlin", "oslo"])
            let list = try Program(database).run(["stats", "--by", "store", "--limit", "1"])
            #expect(list.out.contains("berlin") && !list.out.contains("oslo"))
            #expect(list.err == "only the first 1; --limit shows more\n")
            #expect(try Program(database).run(["stats", "--csv"]).code == 2)
        }
    }

    @Test("the sum of an item's queued adjustments may exceed 64 bits") func largeSum() async throws {
        try await withDatabase { database in
            try database.run(
                """
                INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'up', 1), ('s', 'down', 1);
                INSERT INTO stockq.jobs (store_id, item_id, quantity)
                SELECT 's', item, quantity
                FROM (VALUES ('up', 9223372036854775807), ('down', -9223372036854775808)) AS jobs (item, quantity),
                    generate_series(1, 3)
                """)
            let list = try Program(database).run(["stats", "--by", "item"])
            #expect(list.code == 0 && list.err == "", "\(list.err)")
            #expect(list.out.contains(" 27670116110564327421\n") && list.out.contains("-27670116110564327424\n"))
            #expect(
                try database.rows(
                    "SELECT item_id, queued FROM stockq.stock('s', '{up,down}', with_queued => true) ORDER BY 1") == [
                        "down,-9223372036854775808", "up,9223372036854775807",
                    ])
        }
    }
}
