import CommandLineKit
import Foundation
import StockFormats
import StockQueue
import StockQueuePostgres

/// Draws what `stockq top` shows as lines that fit a terminal. Pure: the same state and size give the same lines.
struct TopScreen {
    let rows: Int
    let columns: Int
    var usesColor = Terminal.usesColor

    init(rows: Int, columns: Int) { (self.rows, self.columns) = (max(4, rows), max(20, columns)) }

    /// A table with a heading. A row can be selected.
    struct Section {
        var title: String
        var headings: [String]
        var rows: [[String]]
        var isSelectable = false
        /// What it says without rows.
        var empty = "none"
    }

    /// - Parameter isLive: keys work, so the last line names them.
    func lines(_ state: TopState, isLive: Bool) -> [String] {
        var lines = header(state)
        let room = rows - lines.count - (isLive ? 1 : 0)
        lines += body(state, room: room, isLive: isLive)
        if isLive {
            while lines.count < rows - 1 { lines.append("") }
            lines = Array(lines.prefix(rows - 1))
            lines.append(styled(fit(footer(state)), "7"))
        }
        return lines
    }

    // MARK: header

    private func header(_ state: TopState) -> [String] {
        guard let snapshot = state.snapshot else {
            return [state.problem.map { styled(fit($0), "31") } ?? "reading …"]
        }
        let (depth, server, flow) = (snapshot.depth, snapshot.server, snapshot.flow)
        var lines = [
            "\(Self.name)  \(Timestamp(snapshot.at).shown)"
                + "  read in \(snapshot.took.milliseconds) ms"
                + (state.views.count > 1 ? "  \(title(state.view))" : ""),
            "finished \(rate(flow.finishedPerSecond))  enqueued \(rate(flow.enqueuedPerSecond))  "
                + sparkline(state.rates, width: max(0, min(60, columns - 48))),
            "ready \(bounded(depth.ready))  scheduled \(bounded(depth.scheduled))  waiting \(bounded(depth.waiting))  "
                + "retrying \(bounded(depth.retrying))  paused \(bounded(depth.paused))",
            "oldest \(depth.oldestReadyAt.map { age(snapshot.at.timeIntervalSince($0)) } ?? "–")  latency "
                + latency(flow.latencies) + "  workers \(grouped(server.workers))  deliveries "
                + "\(grouped(server.pendingDeliveries)) pending, \(grouped(server.deadDeliveries)) dead",
            outcomes(state),
        ]
        if let problem = state.problem { lines.append(styled(fit(problem), "31")) }
        for finding in snapshot.findings.prefix(rows > 30 ? 6 : 2) {
            let (mark, color) =
                switch finding.severity {
                case .bad: ("!", "31")
                case .warning: ("!", "33")
                case .note: ("·", "0")
                }
            lines += "\(mark) \(finding.text)".wrapped(toColumns: columns).prefix(2).map { styled($0, color) }
        }
        return lines.map { line in
            if line.contains("\u{1B}") { return line }
            let fitted = fit(line)
            return fitted.hasPrefix(Self.name) ? styled(Self.name, "1") + fitted.dropFirst(Self.name.count) : fitted
        }
    }

    private static let name = "stockq top"

    private func outcomes(_ state: TopState) -> String {
        let recent = Row(state.panel(.recent))
        let outcomes = recent.members("outcomes").map { "\($0.key) \($0.value)" }
        let codes = recent.members("codes").prefix(4).map { "\($0.key) \($0.value)" }
        if outcomes.isEmpty { return "no results within the last hour" }
        return "of the newest \(recent.grouped("jobs")): " + outcomes.joined(separator: ", ")
            + (codes.isEmpty ? "" : " (\(codes.joined(separator: ", ")))")
    }

    /// A count that ends at `countMax`; an estimate from there on.
    private func bounded(_ count: Int64) -> String { (count >= SnapshotReader.countMax ? "~" : "") + grouped(count) }

    private func rate(_ value: Double?) -> String { value.map { "\(grouped(Int64($0.rounded())))/s" } ?? "–/s" }

    private func latency(_ values: [Double]) -> String {
        values.count < 3 ? "–" : zip(["p50", "p95", "p99"], values).map { "\($0) \(age($1))" }.joined(separator: " ")
    }

    private func age(_ seconds: Double) -> String {
        switch seconds {
        case ..<0.0005: "0 ms"
        case ..<1: "\(Int((seconds * 1_000).rounded())) ms"
        case ..<10: "\((seconds * 10).rounded() / 10) s"
        default: TimeText.span(seconds, .towardZero)
        }
    }

    private func sparkline(_ values: [Double], width: Int) -> String {
        let shown = values.suffix(width)
        guard let top = shown.max(), top > 0 else { return "" }
        let bars = Array("▁▂▃▄▅▆▇█")
        return String(shown.map { bars[min(bars.count - 1, Int($0 / top * Double(bars.count)))] })
    }

    private func title(_ view: TopState.View) -> String {
        switch view {
        case .overview: ""
        case .store(let store): "store \(store.shownName)"
        case .job(let id): "job \(id)"
        }
    }

    private func footer(_ state: TopState) -> String {
        switch state.view {
        case .overview:
            "q quit  Tab table  ↑↓ select  Enter open  s sort: \(state.sort.rawValue)  1–\(TopState.Table.allCases.count)"
        case .store: "q quit  Esc back  ↑↓ select  Enter open the job"
        case .job: "q quit  Esc back"
        }
    }

    // MARK: body

    private func body(_ state: TopState, room: Int, isLive: Bool) -> [String] {
        if state.snapshot == nil { return [] }
        switch state.view {
        case .overview:
            let first = state.table.rawValue
            let all = TopState.Table.allCases
            let order = all[first...] + all[..<first]
            var lines: [String] = []
            for (number, table) in order.enumerated() {
                let left = room - lines.count
                // A blank line, a title and a heading, and two rows at least.
                if left < (number == 0 ? 3 : 6) { break }
                if !lines.isEmpty { lines.append("") }
                // The first table leaves room for another one only where the terminal is high.
                let limit = number == 0 && isLive && room > 24 ? max(8, room / 2) : room - lines.count
                lines += draw(
                    section(table, state), room: limit, selected: number == 0 && isLive ? state.selected : nil)
            }
            return lines
        case .store: return storeLines(state, room: room)
        case .job: return jobLines(state, room: room)
        }
    }

    private func storeLines(_ state: TopState, room: Int) -> [String] {
        guard case .store(let jobs, let results) = state.detail else { return ["", "reading …"] }
        let now = state.snapshot?.at ?? Date()
        let rows =
            jobs.map { row in
                [
                    row["job_id"], row["state"], row["action"], row["quantity"], item(row),
                    since(row, "enqueued_at", now),
                    row.printable("message"),
                ]
            }
            + results.map { row in
                [
                    row["job_id"], [row["outcome"], row["code"]].filter { !$0.isEmpty }.joined(separator: " "),
                    row["action"], row["quantity"], item(row), since(row, "finished_at", now),
                    changeText(row.number("on_hand_before"), row.number("on_hand_after")),
                ]
            }
        let section = Section(
            title: "queued jobs, and then the newest results",
            headings: ["job", "state", "action", "quantity", "item", "ago", "on hand, or the error"], rows: rows,
            isSelectable: true)
        return [""] + draw(section, room: room - 1, selected: state.selected)
    }

    private func jobLines(_ state: TopState, room: Int) -> [String] {
        guard case .job(let story) = state.detail else { return ["", "reading …"] }
        guard case .object? = story["job"] else { return ["", "there is no such job any more"] }
        var lines = [""]
        for part in ["result", "waiting"] {
            guard case .object(let members)? = story[part] else { continue }
            let row = Row(story[part] ?? .null)
            let first = Self.firstFields.filter { !row[$0].isEmpty }
            for name in first + members.map(\.key).filter({ !first.contains($0) && !row[$0].isEmpty }) {
                lines.append(fit("\(name.padding(toWidth: 20))  \(row.printable(name))"))
            }
        }
        if case .array(let all)? = story["lines"], all.count > 1 {
            lines += [
                "",
                fit(
                    "its group: "
                        + all.prefix(20).map { line in
                            let row = Row(line)
                            return "\(row["job_id"]) \(row["outcome"].isEmpty ? row["state"] : row["outcome"])"
                        }.joined(separator: ", ")),
            ]
        }
        // The selection scrolls.
        return [""] + lines.dropFirst(1 + min(state.selected, max(0, lines.count - room))).prefix(room - 1)
    }

    /// What a person looks for in a job at first.
    private static let firstFields = [
        "outcome", "code", "message", "store_id", "item_id", "location_id", "action", "quantity", "applied_quantity",
        "finished_at", "enqueued_at",
    ]

    private func item(_ row: Row) -> String {
        let location = row["location_id"]
        return row.printable("item_id")
            + (location.isEmpty || location == "main" ? "" : " at \(row.printable("location_id"))")
    }

    private func since(_ row: Row, _ column: String, _ now: Date) -> String {
        guard let microseconds = RFC3339.microsecondsSince2000(Array(row[column].utf8)[...]) else { return "–" }
        return age(max(0, now.timeIntervalSince(Timestamp(microsecondsSince2000: microseconds).date)))
    }

    // MARK: sections

    private func section(_ table: TopState.Table, _ state: TopState) -> Section {
        let now = state.snapshot?.at ?? Date()
        switch table {
        case .stores:
            let isEstimate = Row(state.panel(.backlog))["is_estimate"] == "true"
            return Section(
                title: "stores by backlog\(isEstimate ? ", estimated from a sample" : "")",
                headings: ["store", "ready", "deferred", "oldest", "lanes", ""],
                rows: state.sortedStores.map { row in
                    [
                        row.printable("store_id"), row.grouped("ready"), row.grouped("deferred"),
                        since(row, "oldest_ready_at", now), row["lanes"], row["is_paused"] == "true" ? "paused" : "",
                    ]
                }, isSelectable: true, empty: "no job is queued")
        case .failures:
            return Section(
                title: "failed and rejected jobs",
                headings: ["job", "why", "item", "action", "quantity", "ago", "message"],
                rows: state.failures.map { row in
                    let why = row["code"].isEmpty ? "failed \(row["sqlstate"])" : row["code"]
                    return [
                        row["job_id"], why, row.item, row["action"], row["quantity"], since(row, "finished_at", now),
                        row.printable("message"),
                    ]
                }, isSelectable: true)
        case .items:
            return Section(
                title: "items with the most jobs of the newest results", headings: ["item", "jobs", "rejected"],
                rows: state.rows(.recent, "hottest").map { [$0.item, $0.grouped("jobs"), $0.grouped("rejected")] },
                isSelectable: true)
        case .levels:
            return Section(
                title: "items that became low or ran out lately",
                headings: ["item", "level", "available", "threshold", "ago"],
                rows: state.rows(.levels, "items").map { row in
                    [
                        row.item, row["level"], row.grouped("available"), row.grouped("low_stock_threshold"),
                        since(row, "since", now),
                    ]
                }, isSelectable: true)
        case .workers:
            return Section(
                title: "workers and services", headings: ["name", "state", "for", "waits for", "blocked by"],
                rows: state.rows(.workers, "sessions").map { row in
                    [
                        row.printable("name"), row["state"], since(row, "since", now), row["waits_for"],
                        row["blocked_by"],
                    ]
                }, empty: "no worker is connected")
        case .deliveries:
            return Section(
                title: "deliveries with errors", headings: ["subscription", "item", "state", "attempts", "error"],
                rows: state.rows(.deliveries, "problems").map { row in
                    [
                        row.printable("subscription"), row.item, row["state"], row["attempts"],
                        row.printable("last_error"),
                    ]
                }, isSelectable: true)
        }
    }

    /// The section's lines; the rows around the selected one where there are too many.
    private func draw(_ section: Section, room: Int, selected: Int?) -> [String] {
        var lines = [styled(fit(section.title), "1")]
        if section.rows.isEmpty { return lines + [fit("  \(section.empty)")] }
        let isNumber = section.headings.indices.map { column in
            section.rows.allSatisfy { $0[column].allSatisfy { "0123456789,-–".contains($0) } }
        }
        let widths = section.headings.indices.map { column in
            ([section.headings[column]] + section.rows.map { $0[column] }).map { displayColumns($0) }.max() ?? 0
        }
        func line(_ cells: [String]) -> String {
            zip(cells.indices, cells).map { column, text in
                let fill = String(repeating: " ", count: max(0, widths[column] - displayColumns(text)))
                return isNumber[column] ? fill + text : text + fill
            }.joined(separator: "  ")
        }
        lines.append(fit("  " + line(section.headings)))
        let shown = max(1, room - lines.count)
        let first = selected.map { max(0, min($0 - shown + 1, section.rows.count - shown)) } ?? 0
        for index in section.rows.indices.dropFirst(first).prefix(shown) {
            let isSelected = index == selected && section.isSelectable
            let text = fit((isSelected ? "> " : "  ") + line(section.rows[index]))
            lines.append(isSelected ? styled(text, "7") : text)
        }
        return lines
    }

    // MARK: text

    private func fit(_ text: String) -> String {
        var text = text.cut(toColumns: columns)
        while text.last == " " { text.removeLast() }
        return text
    }

    private func styled(_ text: String, _ code: String) -> String {
        usesColor && code != "0" ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text
    }
}
