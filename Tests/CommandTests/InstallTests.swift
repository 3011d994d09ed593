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
        let items = try Self.shell(
            "\(Program.path) completions fish | source; complete -C 'stockq items im'", "/usr/bin/fish")
        #expect(items.out.hasPrefix("import"), "\(items)")
    }

    @Test("man accepts the page without a warning, and it has every command") func man() throws {
        let shown = try Self.shell(
            "\(Program.path) man | LC_ALL=C.UTF-8 MANWIDTH=80 man --warnings -E UTF-8 -l - | col -b")
        #expect(shown.code == 0 && shown.err.isEmpty, "\(shown.err)")
        for text in [
            "stockq - applies", "stockq items import", "--listen-metrics ADDRESS", "subscriptions rotate",
        ] {
            // The lines are filled with blanks.
            #expect(shown.out.replacing(/\s+/, with: " ").contains(text), "\(text)")
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

    @Test("make-deb makes a package with the program, units, manual page, completions and settings")
    func debianPackage() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().path
        let folder = NSTemporaryDirectory() + "/stockq-deb-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let made = try Self.shell("\(root)/scripts/make-deb \(Program.path) \(folder)")
        #expect(made.code == 0, "\(made.err)")
        let package = made.out.split(separator: "\n").last ?? ""
        let list = try Self.shell("dpkg-deb --contents \(package)").out
        for file in [
            "usr/bin/stockq", "usr/lib/systemd/system/stockq-run.service",
            "usr/lib/systemd/system/stockq-serve.service", "usr/lib/systemd/system/stockq-dashboard.service",
            "usr/share/man/man1/stockq.1.gz", "usr/share/bash-completion/completions/stockq",
            "usr/share/zsh/vendor-completions/_stockq", "usr/share/fish/vendor_completions.d/stockq.fish",
            "etc/stockq/stockq.conf", "usr/share/doc/stockq/operating/runbook.md",
            "usr/share/doc/stockq/operating/prometheus/alerts.yml",
        ] { #expect(list.contains("./\(file)\n"), "\(file)") }
        #expect(list.contains("-rw------- root/root"), "only root reads stockq.env")
        #expect(!list.split(separator: "\n").contains { !$0.contains("root/root") }, "all files are root's")
        let fields = try Self.shell("dpkg-deb --field \(package)").out
        #expect(fields.contains("libpq5") && fields.contains("libc6"), "\(fields)")
        // Unpacked, the program reads the settings that come with it.
        let unpacked = try Self.shell(
            "dpkg-deb --extract \(package) \(folder)/root && STOCKQ_CONFIG=\(folder)/root/etc/stockq/stockq.conf "
                + "\(folder)/root/usr/bin/stockq config | head -n 1")
        #expect(unpacked.code == 0 && unpacked.out.contains(" = "), "\(unpacked)")
        let unit = try String(
            contentsOfFile: "\(folder)/root/usr/lib/systemd/system/stockq-run.service", encoding: .utf8)
        #expect(unit.contains("ExecStart=/usr/bin/stockq run"))
    }
}
