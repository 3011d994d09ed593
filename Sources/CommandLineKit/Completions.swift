/// Completions of a program's commands and options for a shell, made from its spec.
package enum CompletionShell: String, CaseIterable, Sendable {
    case bash, zsh, fish
}

extension ProgramSpec {
    /// A script that a shell loads.
    package func completions(for shell: CompletionShell) -> String {
        let tree = CompletionTree(self)
        return switch shell {
        case .bash: tree.bash
        case .zsh: tree.zsh
        case .fish: tree.fish
        }
    }
}

/// The words that can follow each part of a command's path.
private struct CompletionTree {
    /// A place in the command line: behind these words.
    struct Place {
        /// Empty for the program itself.
        var path: [String]
        var words: [(word: String, help: String)]
        var options: [ParameterInfo]
        var takesFiles: Bool

        var name: String { path.joined(separator: " ") }
    }

    let program: String
    let places: [Place]

    init(_ spec: ProgramSpec) {
        program = spec.name
        var places = [
            Place(
                path: [], words: Self.words(behind: [], of: spec),
                options: (spec.globalOptions + [CommandSpec.help]).map(\.info), takesFiles: false)
        ]
        for family in Set(spec.commands.filter { $0.path.count > 1 }.map { [$0.path[0]] }).sorted(by: { $0[0] < $1[0] }) {
            places.append(
                Place(
                    path: family, words: Self.words(behind: family, of: spec), options: [CommandSpec.help.info],
                    takesFiles: false))
        }
        for command in spec.commands {
            let choices = command.arguments.first.map { Self.choices(of: $0.info) } ?? []
            let place = Place(
                path: command.path, words: choices.map { ($0, "") }, options: command.allOptions.map(\.info),
                takesFiles: command.arguments.contains { $0.info.shape == .file })
            // A command can have the name of a family.
            if let index = places.firstIndex(where: { $0.path == command.path }) {
                places[index].options = place.options
                places[index].takesFiles = place.takesFiles
            } else {
                places.append(place)
            }
        }
        self.places = places
    }

    private static func words(behind path: [String], of spec: ProgramSpec) -> [(String, String)] {
        var words: [(String, String)] = []
        for command in spec.commands where command.path.count > path.count && command.path.starts(with: path) {
            let word = command.path[path.count]
            if words.contains(where: { $0.0 == word }) { continue }
            let isCommand = command.path.count == path.count + 1
            words.append((word, isCommand ? command.summary : "…"))
        }
        return words + (path.isEmpty ? [("help", "Shows help.")] : [])
    }

    /// The words that a value can be; empty where it can be any.
    static func choices(of info: ParameterInfo) -> [String] {
        switch info.shape {
        case .choice(let words): words
        case .noneOr(.choice(let words)): words + ["none"]
        case .noneOr: ["none"]
        case .text, .wholeNumber, .duration, .time, .file, nil: []
        }
    }

    private func quoted(_ text: String) -> String { "'" + text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: #"'\''"#) + "'" }

    private var paths: [String] { places.dropFirst().map(\.name) }

    /// What follows an option that takes a value: `path:--option`, the words, and whether it is a file.
    private var values: [(key: String, words: [String], isFile: Bool)] {
        places.flatMap { place in
            place.options.filter { $0.valueName != nil }.map { info in
                ("\(place.name):\(info.label)", Self.choices(of: info), info.shape == .file)
            }
        }
    }

    // MARK: bash

    var bash: String {
        """
        # Completions of \(program) for bash: source it, or put it into bash-completion/completions/\(program).
        _\(program)() {
            local command= word words= files=
            local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
            for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
                case "${command:+$command }$word" in
                \(paths.map(quoted).joined(separator: " | "))) command=${command:+$command }$word ;;
                esac
            done
            case $command:$previous in
        \(values.filter { !$0.words.isEmpty || $0.isFile }.map { value in
            value.isFile ? "    \(quoted(value.key))) files=1 ;;"
                : "    \(quoted(value.key))) words=\(quoted(value.words.joined(separator: " "))) ;;"
        }.joined(separator: "\n"))
        \(values.filter { $0.words.isEmpty && !$0.isFile }.map { "    \(quoted($0.key))) return ;;" }.joined(separator: "\n"))
            *)
                case $command in
        \(places.map { place in
            "        \(quoted(place.name))) words=\(quoted((place.words.map(\.word) + place.options.map(\.label)).joined(separator: " ")))"
                + (place.takesFiles ? " files=1" : "") + " ;;"
        }.joined(separator: "\n"))
                esac
                ;;
            esac
            mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current"; [ -z "$files" ] || compgen -f -- "$current")
            [ -z "$files" ] || compopt -o filenames 2>/dev/null
        }
        complete -F _\(program) \(program)

        """
    }

    // MARK: zsh

    var zsh: String {
        func described(_ word: String, _ help: String) -> String {
            quoted(word.replacing(":", with: #"\:"#) + (help.isEmpty ? "" : ":" + help))
        }
        return """
            #compdef \(program)
            # Completions of \(program) for zsh: put it as _\(program) into a folder of $fpath.
            _\(program)() {
                local command= word
                local -a list options
                for word in "${(@)words[2,CURRENT-1]}"; do
                    case "${command:+$command }$word" in
                    \(paths.map { "(" + $0.replacing(" ", with: "\\ ") }.map { String($0.dropFirst()) }.joined(separator: "|"))) command="${command:+$command }$word" ;;
                    esac
                done
                case "$command:${words[CURRENT-1]}" in
            \(values.map { value in
                let action = value.isFile ? "_files" : value.words.isEmpty ? "_message value" : "compadd -- \(value.words.map(quoted).joined(separator: " "))"
                return "    \(quoted(value.key))) \(action); return ;;"
            }.joined(separator: "\n"))
                esac
                case $command in
            \(places.map { place in
                """
                    \(quoted(place.name)))
                        list=(\(place.words.map { described($0.word, $0.help) }.joined(separator: " ")))
                        options=(\(place.options.map { described($0.label, $0.help) }.joined(separator: " ")))\(place.takesFiles ? "\n            _files" : "") ;;
                """
            }.joined(separator: "\n"))
                esac
                (( $#list )) && _describe command list
                _describe -o option options
            }
            _\(program) "$@"

            """
    }

    // MARK: fish

    var fish: String {
        var lines = [
            "# Completions of \(program) for fish: put it into vendor_completions.d/\(program).fish.",
            "function __\(program)_command",
            "    set -l command \(program)",
            "    for word in (commandline -opc)[2..-1]",
            "        switch \"$command $word\"",
            "            case \(paths.map { quoted("\(program) \($0)") }.joined(separator: " "))",
            "                set command \"$command $word\"",
            "        end",
            "    end",
            "    echo $command",
            "end",
            "complete -c \(program) -f",
        ]
        for place in places {
            let at = "-n \(quoted("test (__\(program)_command) = '\(([program] + place.path).joined(separator: " "))'"))"
            for (word, help) in place.words {
                lines.append("complete -c \(program) \(at) -a \(quoted(word))" + (help.isEmpty ? "" : " -d \(quoted(help))"))
            }
            if place.takesFiles { lines.append("complete -c \(program) \(at) -F") }
            for info in place.options {
                let words = Self.choices(of: info)
                let value =
                    info.valueName == nil ? "" : info.shape == .file ? " -r -F" : words.isEmpty ? " -x" : " -x -a \(quoted(words.joined(separator: " ")))"
                lines.append("complete -c \(program) \(at) -l \(info.name)\(value) -d \(quoted(info.help))")
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }
}
