import Foundation
import StockQueuePostgres
import TestSupport
import Testing

@Suite("Connections") struct ConnectionTests {
    private static let typed = Statement(
        "typed",
        [
            .int8, .int2, .int4, .bool, .text, .timestamptz, .int8Array, .int2Array, .int4Array, .boolArray, .textArray,
            .tidArray,
        ],
        """
        SELECT ($1::int8)::text, ($2::int2)::text, ($3::int4)::text, ($4::bool)::text, $5::text,
            to_char($6::timestamptz AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US'),
            ($7::int8[])::text, ($8::int2[])::text, ($9::int4[])::text, ($10::bool[])::text, ($11::text[])::text,
            ($12::tid[])::text
        """)

    @Test("parameters of every type arrive") func parameters() async throws {
        try await withDatabase(migrated: false) { database in
            let connection = try database.connect()
            var parameters = Parameters()
            parameters.add(Int64.min)
            parameters.add(Int16(-3))
            parameters.add(Int32(70_000))
            parameters.add(true)
            parameters.add("naïve ☃ '\\")
            parameters.add(Timestamp(microsecondsSince2000: 86_400_000_001))
            parameters.addArray(of: 3, int64: { [Int64.max, nil, -1][$0] })
            parameters.addArray(of: 2, int16: { [Int16(5), nil][$0] })
            parameters.addArray(of: 1, int32: { _ in 9 })
            parameters.addArray(of: 2, bool: { $0 == 0 })
            parameters.addArray(["a,b", nil, "", "\"q\""])
            parameters.addArray(of: 1, tupleID: { _ in TupleID(block: 70_000, line: 12) })
            let row = try connection.execute(Self.typed, parameters)
            let texts = (0..<12).map { row.string(0, $0) }
            #expect(
                texts == [
                    "-9223372036854775808", "-3", "70000", "true", "naïve ☃ '\\", "2000-01-02 00:00:00.000001",
                    "{9223372036854775807,NULL,-1}", "{5,NULL}", "{9}", "{t,f}", "{\"a,b\",NULL,\"\",\"\\\"q\\\"\"}",
                    "{\"(70000,12)\"}",
                ])
        }
    }

    @Test(
        "a session's purpose is behind the program's name, whichever it has, of which a long one is cut",
        arguments: [
            ("", "shop worker 12"), (" application_name='my shop'", "my shop worker 12"),
            (
                " application_name=\(String(repeating: "é", count: 50))",
                String(repeating: "?", count: 53) + " worker 12"
            ),
        ])
    func purpose(option: String, name: String) async throws {
        try await withDatabase(migrated: false) { database in
            var settings = ConnectionSettings(conninfo: database.conninfo + option, applicationName: "shop")
            settings.purpose = "worker 12"
            let connection = try Connection(settings)
            #expect(
                try database.rows(
                    "SELECT application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()", connection) == [name])
        }
    }

    @Test("NULL, empty text and empty arrays arrive") func emptyParameters() async throws {
        try await withDatabase(migrated: false) { database in
            let connection = try database.connect()
            var parameters = Parameters()
            parameters.add(nil as Int64?)
            parameters.add("")
            parameters.addArray(of: 0, int64: { _ in 0 })
            let row = try connection.execute(
                Statement("nulls", [.int8, .text, .int8Array], "SELECT $1::int8, $2::text, cardinality($3)"), parameters
            )
            #expect(row.optionalInt64(0, 0) == nil)
            #expect(row.string(0, 1) == "")
            #expect(row.int32(0, 2) == 0)
        }
    }

    @Test("an error has the fields of the server's message") func serverError() async throws {
        try await withDatabase(migrated: false) { database in
            let connection = try database.connect()
            try connection.executeScript(
                "CREATE TABLE t (id int CONSTRAINT once PRIMARY KEY); INSERT INTO t VALUES (1)")
            let error = try #require(throws: PostgresError.self) {
                try connection.execute(Statement("twice", [], "INSERT INTO t VALUES (1)"))
            }
            #expect(error.kind == .server)
            #expect(error.sqlState == .uniqueViolation)
            #expect(error.constraint == "once")
            #expect(error.statement == "twice")
            #expect(!error.isConnectionFatal)
            // The detail, which is not logged, has the values of the row.
            #expect(!error.description.contains("(1)"))
            #expect(try connection.execute(Statement("still", [], "SELECT 1")).int32(0, 0) == 1)
        }
    }

    @Test("after an error the rest of the pipeline does not run") func errorInPipeline() async throws {
        try await withDatabase(migrated: false) { database in
            let connection = try database.connect()
            try connection.executeScript("CREATE TABLE t (id int)")
            let insert = Statement("insert", [.int4], "INSERT INTO t VALUES ($1)")
            var one = Parameters()
            one.add(Int32(1))
            try connection.send(insert, one)
            try connection.send(Statement("fail", [], "SELECT 1 / 0"))
            try connection.send(Statement("next", [], "INSERT INTO t VALUES (2)"))
            let error = try #require(throws: PostgresError.self) { try connection.receive() }
            #expect(error.sqlState == SQLState(rawValue: "22012"))
            // Without BEGIN the pipeline is one transaction, which is rolled back. A statement whose preparation was
            // skipped is prepared the next time.
            #expect(try database.value("SELECT count(*) FROM t") == "0")
            try connection.execute(Statement("next", [], "INSERT INTO t VALUES (2)"))
            #expect(try database.value("SELECT count(*) FROM t") == "1")
        }
    }

    @Test("a statement can be planned before its first use") func plannedAhead() async throws {
        try await withDatabase(migrated: false) { database in
            let connection = try database.connect()
            try connection.executeScript("CREATE TABLE t (n int); SET plan_cache_mode = force_generic_plan")
            let insert = Statement("insert_planned", [.int4], "INSERT INTO t VALUES ($1)")
            try connection.planAhead([insert])
            let plans = Statement(
                "plans", [], "SELECT generic_plans FROM pg_prepared_statements WHERE name = 'insert_planned'")
            #expect(try connection.execute(plans).int64(0, 0) == 1)
            #expect(try database.value("SELECT count(*) FROM t") == "0")
            // What cannot be planned shows only where it is used.
            try connection.planAhead([Statement("bad", [], "SELECT FROM no_such_table"), insert])
            var parameters = Parameters()
            parameters.add(Int32(7))
            try connection.execute(insert, parameters)
            #expect(try database.value("SELECT n FROM t") == "7")
        }
    }

    @Test("COMMIT of a failed transaction throws") func failedTransaction() async throws {
        try await withDatabase(migrated: false) { database in
            let connection = try database.connect()
            try connection.execute(.begin)
            _ = try? connection.execute(Statement("fail", [], "SELECT 1 / 0"))
            let error = try #require(throws: PostgresError.self) { try connection.commit() }
            #expect(error.message.contains("ROLLBACK"))
        }
    }

    @Test("a call has a deadline") func callDeadline() async throws {
        try await withDatabase(migrated: false) { database in
            let connection = try database.connect()
            let deadline = Deadline.after(milliseconds: 5_000)
            let error = try #require(throws: PostgresError.self) {
                try connection.execute(Statement("sleep", [], "SELECT pg_sleep(30)"), timeoutMs: 100)
            }
            #expect(error.kind == .deadline)
            #expect(error.isConnectionFatal)
            #expect(!deadline.hasPassed)
        }
    }

    @Test("a statement whose client is gone ends") func clientIsGone() async throws {
        try await withDatabase(migrated: false) { database in
            var connection: Connection? = try database.connect()
            let session = try #require(connection).backendProcessID
            #expect(throws: PostgresError.self) {
                try connection?.execute(Statement("sleep", [], "SELECT pg_sleep(600)"), timeoutMs: 100)
            }
            connection = nil
            #expect(
                try eventually {
                    try database.value("SELECT count(*) FROM pg_stat_activity WHERE pid = \(session)") == "0"
                })
        }
    }

    @Test("a session has the pinned settings, and those of its own over them") func pinnedSettings() async throws {
        try await withDatabase(migrated: false) { database in
            try database.run("ALTER DATABASE \(database.name) SET statement_timeout = '7s'")
            try database.run("ALTER DATABASE \(database.name) SET TimeZone = 'Asia/Kathmandu'")
            var settings = database.settings
            settings.session = [("lock_timeout", "123ms"), ("jit", "on")]
            for pooled in [false, true] {
                settings.pooled = pooled
                let show = Statement(
                    "show", [],
                    """
                    SELECT concat_ws(' ', current_setting('statement_timeout'), current_setting('TimeZone'),
                        current_setting('lock_timeout'), current_setting('jit'))
                    """)
                #expect(try Connection(settings).execute(show).string(0, 0) == "0 UTC 123ms on")
            }
        }
    }

    @Test("large values in both directions do not block each other") func largeValues() async throws {
        try await withDatabase(migrated: false) { database in
            let connection = try database.connect()
            let text = String(repeating: "x", count: 3_000_000)
            let echo = Statement("echo", [.text], "SELECT $1::text")
            var parameters = Parameters()
            parameters.add(text)
            for _ in 0..<4 { try connection.send(echo, parameters) }
            let results = try connection.receive()
            #expect(results.map { $0.string(0, 0).utf8.count } == [3_000_000, 3_000_000, 3_000_000, 3_000_000])
        }
    }

    @Test("COPY takes rows, and an aborted or failed COPY takes none") func copy() async throws {
        try await withDatabase(migrated: false) { database in
            let connection = try database.connect()
            try connection.executeScript("CREATE TABLE t (id int, name text)")
            let copy = Statement("copy", [], "COPY t FROM STDIN")
            try connection.startCopy(copy)
            try connection.copy(Array("1\tone\n2\t\\N\n".utf8))
            #expect(try connection.endCopy() == 2)
            try connection.startCopy(copy)
            try connection.copy(Array("3\tthree\n".utf8))
            try connection.failCopy("changed my mind")
            try connection.startCopy(copy)
            try connection.copy(Array("four\t4\n".utf8))
            let error = try #require(throws: PostgresError.self) { _ = try connection.endCopy() }
            #expect(error.sqlState == SQLState(rawValue: "22P02"))
            #expect(try database.value("SELECT count(*) FROM t") == "2")
            #expect(try connection.execute(Statement("after", [], "SELECT 1")).int32(0, 0) == 1)
        }
    }

    @Test("the connection of a terminated session is lost") func terminatedSession() async throws {
        try await withDatabase(migrated: false) { database in
            let connection = try database.connect()
            try database.run("SELECT pg_terminate_backend(\(connection.backendProcessID))")
            let error = try #require(throws: PostgresError.self) {
                try connection.execute(Statement("after", [], "SELECT pg_sleep(5)"))
            }
            #expect(error.isConnectionFatal)
        }
    }

    @Test("the error for an unreachable server says so") func unreachableServer() async throws {
        try await onThread {
            let error = try #require(throws: PostgresError.self) {
                _ = try Connection(ConnectionSettings(conninfo: "host=/nowhere dbname=x", applicationName: "tests"))
            }
            #expect(error.kind == .cannotConnect)
            #expect(error.sqlState == nil)
        }
    }

    @Test("a role that may have no further connection differs from a server that cannot be reached")
    func connectionLimit() async throws {
        try await withDatabase(migrated: false) { database in
            let role = "limited_in_\(database.name)"
            try database.run("CREATE ROLE \(role) LOGIN CONNECTION LIMIT 0")
            let error = try #require(throws: PostgresError.self) { _ = try database.connect(as: role) }
            #expect(error.sqlState == .tooManyConnections)
            #expect(error.isTransient)
            try database.run("DROP ROLE \(role)")
        }
    }

    @Test("the error for a wrong password says so and does not show it") func wrongPassword() async throws {
        try await withDatabase(migrated: false) { database in
            var settings = database.settings
            settings.conninfo = settings.conninfo.replacingOccurrences(
                of: "user=stockq", with: "user=\(TestCluster.passwordUser)")
            settings.password = "wrong-horse"
            let error = try #require(throws: PostgresError.self) { _ = try Connection(settings) }
            #expect(error.sqlState == .invalidPassword)
            #expect(!error.debugDescription.contains("wrong-horse"))
            settings.password = "right-horse"
            _ = try Connection(settings)
        }
    }

    @Test("the error for an invalid URL does not show it") func invalidURL() async throws {
        try await onThread {
            let error = try #require(throws: PostgresError.self) {
                _ = try Connection(
                    ConnectionSettings(conninfo: "postgresql://me:secret%zz@host/db", applicationName: "tests"))
            }
            #expect(!error.debugDescription.contains("secret"))
        }
    }

    @Test(
        "an unescaped @ or / in a password is refused without showing it",
        arguments: [
            "postgresql://me:se@cret@host/db", "postgresql://me:se/cret@host/db", "postgres://me:s@e/cret@host/db",
            "postgresql://me:se/cr@et@host:5432/db?x=y",
        ])
    func unescapedURL(_ url: String) async throws {
        try await onThread {
            let error = try #require(throws: PostgresError.self) {
                _ = try Connection(ConnectionSettings(conninfo: url, applicationName: "tests"))
            }
            #expect(error.message.contains("write @ as %40 and / as %2F"))
            #expect(!error.isTransient && !error.debugDescription.contains("cret"))
        }
    }

    @Test(
        "what of an argument is a password",
        arguments: [
            ("postgresql://me:secret@host/db", "postgresql://me:*@host/db"),
            ("postgresql://me:se%40cret@host/db", "postgresql://me:*@host/db"),
            ("postgresql://me:a?b#c:d@host/db", "postgresql://me:*@host/db"),
            ("postgresql://me@host/db?user=x@y", "postgresql://me@host/db?user=x@y"),
            ("postgresql://me@host/db?password=se@cret", "postgresql://me@host/db*"),
            ("postgresql://me:one@host/db?password=two", "postgresql://me:*"),
            ("postgresql://me:one@host/db?p%61ssword=two", "postgresql://me:*"),
            ("postgresql://me@host/db?p%61ssword=two", "postgresql://me@host/db*"),
            ("postgresql://me:se@cret@host/db", "*"), ("postgresql://me:se/cret@host/db", "*"),
            ("postgresql://me:se%zcret@host/db", "*"),
            ("host=h password=secret dbname=d", "host=h password=*"),
            ("host=h password = 'x y' dbname=d", "host=h password =*"),
            ("password=x\\ y user=u", "password=*"), ("host=h password=x y z", "*"),
            ("host=h dbname=d", "host=h dbname=d"), ("shirt-m", "shirt-m"), ("s=t", "s=t"), ("", ""),
        ])
    func secrets(_ argument: String, shown: String) {
        var bytes = Array(argument.utf8)
        if let secret = ConnectionString.secretBytes(in: argument) {
            bytes.replaceSubrange(secret, with: Array("*".utf8))
        }
        #expect(String(decoding: bytes, as: UTF8.self) == shown)
    }

    @Test("a notification ends the wait") func notification() async throws {
        try await withDatabase(migrated: false) { database in
            let listener = try database.connect()
            try listener.listen(channel: "Odd \"name\"")
            try database.run("NOTIFY \"Odd \"\"name\"\"\"")
            let channels = try listener.waitForNotification(wakeDescriptor: -1, timeoutMs: 10_000)
            #expect(channels == ["Odd \"name\""])
        }
    }

    @Test("a pooled connection sets its session settings in each transaction") func pooledSettings() async throws {
        try await withDatabase(migrated: false) { database in
            var settings = database.settings
            settings.pooled = true
            settings.session = [("lock_timeout", "123ms")]
            let connection = try Connection(settings)
            let show = Statement("show", [], "SELECT current_setting('lock_timeout')")
            #expect(try connection.execute(show).string(0, 0) == "123ms")
            let inside = try connection.transaction { () throws(PostgresError) in
                try connection.execute(show).string(0, 0)
            }
            #expect(inside == "123ms")
            #expect(try connection.execute(show).string(0, 0) == "123ms")
            // Nothing of it stays with the server's session, which another client gets next.
            try connection.executeScript("CREATE TABLE seen AS SELECT current_setting('lock_timeout') AS value")
            #expect(try database.value("SELECT value FROM seen") == "0")
        }
    }
}
