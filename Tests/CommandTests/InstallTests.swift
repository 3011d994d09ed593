import Foundation
import TestSupport
import Testing

/// Completions, the manual page, and `make install`.
@Suite("Installation") struct InstallTests {
    private static func shell(_ script: String, _ shell: String = "/bin/bash") throws -> Program.Ended {
        try Program().start(["-c", script], executable: shell).wait()
    }

    @Test(
        "bash completes commands, options and values",
        arguments: [
            ("", "items"), ("ite", "items"), ("items ", "import"), ("items im", "import"), ("run --lo", "--log-level"),
            ("run --log-level ", "debug"), ("--schema x run --log-format j", "json"), ("completions z", "zsh"),
        ])
    func bash(_ typed: String, _ expected: String) throws {
        let script = """
            eval "$(\(Program.path) completions bash)"
            COMP_WORDS=(stockq \(typed)\(typed.isEmpty || typed.hasSuffix(" ") ? " ''" : "")); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
            _stockq; printf '%s\\n' "${COMPREPLY[@]}"
            """
        let ended = try Self.shell(script)
        #expect(ended.code == 0 && ended.err.isEmpty, "\(ended.err)")
        #expect(ended.out.split(separator: "\n").contains(Substring(expected)), "\(ended.out)")
        #expect(!ended.out.contains("--drain") || typed.hasPrefix("run --"))
    }

    @Test("zsh and fish accept their completions") func others() throws {
        for (name, path) in [("zsh", "/usr/bin/zsh"), ("fish", "/usr/bin/fish")] {
            let file = NSTemporaryDirectory() + "/stockq-\(UUID().uuidString)"
            try Program().run(["completions", name]).out.write(toFile: file, atomically: true, encoding: .utf8)
            defer { unlink(file) }
            let checked = try Program().start(["-n", file], executable: path).wait()
            #expect(checked.code == 0 && checked.err.isEmpty, "\(name): \(checked.err)")
        }
        let fish = try Self.shell(
            "\(Program.path) completions fish | source; complete -C 'stockq run --log-format '", "/usr/bin/fish")
        #expect(fish.out.split(separator: "\n").map { $0.split(separator: "\t")[0] } == ["json", "logfmt"], "\(fish)")
        let items = try Self.shell("\(Program.path) completions fish | source; complete -C 'stockq items im'", "/usr/bin/fish")
        #expect(items.out.hasPrefix("import"), "\(items)")
    }

    @Test("man accepts the page without a warning, and it has every command") func man() throws {
        let shown = try Self.shell(
            "\(Program.path) man | LC_ALL=C.UTF-8 MANWIDTH=80 man --warnings -E UTF-8 -l - | col -b")
        #expect(shown.code == 0 && shown.err.isEmpty, "\(shown.err)")
        for text in ["stockq - stockq applies", "stockq items import", "--listen-metrics ADDRESS", "subscriptions rotate"] {
            #expect(shown.out.contains(text), "\(text)")
        }
    }

    @Test("make install puts all of it in place") func install() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().path
        let folder = NSTemporaryDirectory() + "/stockq-install-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let made = try Self.shell(
            "make -C \(root) install PROGRAM=\(Program.path) DESTDIR=\(folder) PREFIX=/opt/stockq")
        #expect(made.code == 0, "\(made.err)")
        for file in [
            "bin/stockq", "share/man/man1/stockq.1", "share/bash-completion/completions/stockq",
            "share/zsh/site-functions/_stockq", "share/fish/vendor_completions.d/stockq.fish",
        ] { #expect(FileManager.default.fileExists(atPath: "\(folder)/opt/stockq/\(file)"), "\(file)") }
        let unit = try String(
            contentsOfFile: "\(folder)/opt/stockq/lib/systemd/system/stockq-run.service", encoding: .utf8)
        #expect(unit.contains("ExecStart=/opt/stockq/bin/stockq run"))
    }
}
