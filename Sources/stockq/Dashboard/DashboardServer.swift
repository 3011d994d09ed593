import CommandLineKit
import DashboardPage
import Foundation
import HTTPServer
import StockFormats
import StockQueue
import StockQueuePostgres

/// The dashboard as a process: the page, its live data and its acts.
struct DashboardServer: Sendable {
    var connection: ConnectionSettings
    var schema: QueueSchema
    var access: DashboardAccess
    var endpoints: [Endpoint]
    /// Before `/dashboard` in every path; empty or with a slash at its beginning and none at its end.
    var prefix: String
    var log: Log

    /// Serves until a signal.
    func serve() throws -> ExitCode {
        let stop = StopRequest()
        Signals.handle { stop.receive() }
        let streams = SnapshotStreams(log: log) { [connection, schema] in
            SnapshotReader(connection: connection, schema: schema)
        }
        let queries = QueryThread("queries", readSession, schema, log)
        let acts = QueryThread("acts", actSession, schema, log)
        var settings = ServerSettings()
        (settings.connectionsMax, settings.requestsMax, settings.streamBytesMax) = (256, 256, 1 << 20)
        let server = try HTTPServer(
            endpoints, settings: settings, handler: RouteHandler(routes(streams, queries, acts)))
        for address in server.addresses { log.write(.info, "dashboard_listening", [("address", address)]) }
        streams.start()
        queries.start()
        acts.start()
        let manager = ServiceManager()
        manager.ready()
        stop.wait()
        manager.stopping()
        streams.stop()
        server.shutDown(graceMs: 2_000)
        server.wait()
        queries.stop()
        acts.stop()
        log.write(.info, "stopped")
        return .success
    }

    /// Checks the schema, and reads a snapshot as the role of the dashboard.
    ///
    /// - Throws: what keeps the dashboard from serving.
    func check() throws {
        try Migrator(connection: try Connection(readSession), schema: schema).check()
        _ = try SnapshotReader(connection: connection, schema: schema).read()
    }

    // MARK: sessions

    /// For what a page asks: it can write nothing, and no statement takes long.
    private var readSession: ConnectionSettings {
        var settings = connection
        settings.purpose = "queries"
        settings.connectTimeout = .seconds(2)
        settings.callTimeout = .seconds(8)
        settings.session = [
            ("statement_timeout", "5s"), ("jit", "off"), ("max_parallel_workers_per_gather", "0"),
            ("default_transaction_read_only", "on"),
        ]
        return settings
    }

    /// For acts: an act waits for the batches that have its jobs locked.
    private var actSession: ConnectionSettings {
        var settings = connection
        settings.purpose = "acts"
        settings.connectTimeout = .seconds(2)
        settings.callTimeout = .seconds(40)
        settings.session = [("statement_timeout", "30s"), ("lock_timeout", "10s"), ("jit", "off")]
        return settings
    }

    // MARK: routes

    private func routes(_ streams: SnapshotStreams, _ queries: QueryThread, _ acts: QueryThread) -> RouteTable {
        var routes = RouteTable()
        let base = prefix + "/dashboard"
        routes.setErrorStyle(under: base) { failure in
            var writer = JSONWriter()
            writer.object { writer in
                writer.key("error")
                writer.string(failure.message)
            }
            var fields = DashboardFields.json
            fields.append(failure.fields)
            return Response(failure.status, fields: fields, body: writer.bytes)
        }
        routes.onAnswer = { [log] response, head in
            log.write(
                .debug, "request",
                [
                    // Not the query: it has what was searched for.
                    ("method", head.method), ("path", String(decoding: head.path, as: UTF8.self)),
                    ("status", response.status), ("peer", head.peer),
                ])
        }
        routes.add(.get, "/healthz") { call in
            let problem = streams.problem
            call.respond(.text(problem == nil ? .ok : .serviceUnavailable, problem ?? "ok"))
        }
        routes.add(.get, PathPattern(base)) {
            $0.respond(Response(.ok, fields: DashboardFields.page, body: DashboardPage.html))
        }
        if !prefix.isEmpty { routes.add(.get, PathPattern(prefix)) { $0.respond(Self.redirect(to: base)) } }
        routes.add(.get, "/") { $0.respond(Self.redirect(to: base)) }
        let access = access
        routes.add(.get, PathPattern(base + "/api/access")) { call in
            // 200 without a token too: a browser reports every other status on its console.
            call.respond(Self.rights(try access.caller(call.request.head), access))
        }
        routes.add(.get, PathPattern(base + "/api/stream")) { call in
            _ = try access.check(call.request.head, for: .read)
            streams.add(call)
        }
        for (path, query) in Self.queries {
            routes.add(.get, PathPattern(base + "/api/" + path)) { call in
                _ = try access.check(call.request.head, for: .read)
                queries.answer(call, try query(call))
            }
        }
        let check: RouteTable.Check = { head, _ in _ = try access.check(head, for: .act) }
        routes.add(.post, PathPattern(base + "/api/acts"), bodyBytesMax: 1 << 20, check: check) { call in
            let caller = try access.check(call.request.head, for: .act)
            let act = try DashboardAct(body: call.request.body)
            acts.answer(call) { connection, schema in
                let outcome = try act.perform(connection, schema, for: caller.name)
                if !act.isDryRun { record(act, outcome, caller, call.request.head.peer) }
                return DashboardQueries.json(act.json(outcome))
            }
        }
        return routes
    }

    private func record(
        _ act: DashboardAct, _ outcome: DashboardAct.Outcome, _ caller: DashboardAccess.Caller, _ peer: PeerAddress
    ) {
        log.write(
            .info, "act",
            [
                ("verb", act.verb.rawValue), ("jobs", outcome.count), ("user", caller.name ?? ""), ("peer", peer),
            ])
    }

    private static let queries: [(String, @Sendable (Call) throws -> QueryThread.Query)] = [
        ("job/{id}", DashboardQueries.job), ("order", DashboardQueries.order), ("item", DashboardQueries.item),
        ("search", DashboardQueries.search), ("checks", DashboardQueries.checks), ("jobs", DashboardQueries.jobs),
        ("results", DashboardQueries.results), ("items", DashboardQueries.items),
    ]

    private static func rights(_ caller: DashboardAccess.Caller?, _ access: DashboardAccess) -> Response {
        var writer = JSONWriter()
        writer.object { writer in
            writer.key("may_read")
            writer.bool(caller != nil)
            writer.key("may_act")
            writer.bool(caller?.level == .act)
            writer.key("has_acts")
            writer.bool(access.adminToken != nil)
            writer.key("name")
            if let name = caller?.name { writer.string(name) } else { writer.null() }
            writer.key("jobs_max")
            writer.integer(DashboardAct.jobsMax)
        }
        return Response(.ok, fields: DashboardFields.json, body: writer.bytes)
    }

    private static func redirect(to path: String) -> Response {
        Response(HTTPStatus(302), fields: DashboardFields.common.adding("Location", path))
    }
}
