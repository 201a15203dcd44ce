package bounce

// messageRules are what receivers say of the message, of their own rules and
// of their own state.
var messageRules = []rule{
	{"size", content, "", `
		message size | message too large | message is too large | message too big | message is too big
		| message length | mail size | email size | message exceeds | too large | too big | size limit
		| size exceed | exceeds size | exceeded size | maximum size | maximum message | max message size
		| larger than | over the size | limit on message size | size of the | size restriction | headers too
		| header size | body too | trop volumineux | taille | zu gross | groesse | demasiado grande | tamano
		| muito grande | tamanho | 邮件过大 | 超过最大 | 太大 | サイズ | exceeds google`, "mailbox size"},
	{"header", content, "", `
		header | headers | bare lf | bare linefeed | bare line | bare cr | 8 bit data | 8bit | 8 bit
		| non ascii | charset | character set | mime$ | mime type | mime part | line limit | line length
		| line too long | lines too long | badly formatted | improperly formatted | malformed
		| hop count header | content type | nested | encoding | message format | boundary | unicode`, "name service | name server | temporar | command | recipient address"},
	{"content-code", content, "x.6.*", "", "spam | content reject"},
	{"content-words", content, "", `
		content
		& not accept | not allowed | prohibited | violat | inappropriate | unacceptable | forbidden | url
		| link | profan | bad$`, "spam"},
	{"bad-link", spam, "", `
		url$ | urls | uri$ | link | links
		& block | reject | list | malicious | suspicious | banned`, ""},

	{"tls", policy, "", `
		starttls | tls required | encryption required | requires tls | require tls | must use tls
		| tls connection | encryption
		& requir | need | must | not sent over | first | mandatory`, "pipeline"},
	{"policy", policy, "", `
		policy$ | policies | administrative prohibition | administratively | prohibited | content restrict
		| local rule | by rule | transport rule | custom rule | site rule | security rule | security reasons
		| violates | violation | delivery not authorized | not authorized | not authorised | not permitted
		| not allowed | refused by | unacceptable | rejected for | richtlinie | regles | politica | 策略
		| ポリシー | restrict | compliance | administrator | disallowed | firewall | 拒绝 | 拒否 | blocked by
		| forbidden`, "lookup | temporarily unavailable | protocol violation | size"},
	{"access-denied", auth, "5xx", "access denied | permission denied | relay | not authenticated | authoriz", ""},
	{"access-denied-for-now", spam, "4xx", "access denied | permission denied | blocked | banned", "temporar | greylist | server"},

	// The receiver's own trouble (RFC 3463 §3.4 and §3.5)
	{"loop", offline, "", `
		too many hops | hop count | mail loop | loop detected | loops back | mail loops | routing loop
		| loop | looping | circular | max hops | hops exceeded`, ""},
	{"busy", throttled, "", `
		server busy | server is busy | system busy | too busy | is busy | busy$ | overload | high load
		| heavy load | load average | load too high | load limit | capacity | congest | not enough resources`, ""},
	{"server-trouble", offline, "", server + `
		& unavailable | not available | error | down$ | problem | failure | failed | trouble | unreachable
		| shutting | offline | maintenance | not responding | not accepting | not active | temporar
		| insufficient | full$ | lookup | out of | timed out | expired | inaccessible`, "client host reject | refused"},
	{"connection", offline, "", `
		timed out | timeout | time out | i o timeout | connection refused | connection reset
		| connection lost | lost connection | connection closed | connection dropped | connection was
		| connection expired | connection timed | connection failed | connection error | connection broken
		| connection aborted | connection died | broken pipe | no route | unreachable | network error
		| network problem | unexpected eof | eof$ | remote protocol error | could not connect
		| couldnt connect | cannot connect | unable to connect | connect to | could not deliver | no answer
		| not answer | no response | not respond | idle | abruptly | unable to establish
		| wasnt able to establish | queue too long | in the queue too | message expired
		| delivery time expired | retry timeout | retry time | been in queue | handshake`, ""},
	{"their-dns", offline, "", `
		host not found | dns error | dns fail | dns lookup | dns timeout | dns query | dns server
		| name service | name server | nameserver | servfail | server failure | lookup fail | lookup error
		| cannot resolve | unable to resolve | cannot look up`, ""},
	{"trouble-unsaid", other, "4.0.0 4.3.0", "temporary failure$$ | temporary error$$", server + " | lookup | local | dns$"},
	{"their-disk", offline, "", `
		system storage | insufficient storage | insufficient disk | insufficient resource
		| insufficient system | insufficient memory | disk full | disk is full | disk space | no space left
		| out of memory | out of disk | mail system full | queue file | write error | read error
		| input output error | i o error | local error | error in processing | internal error
		| internal system | internal server | internal software | internal failure | configuration error
		| configuration problem | database | ldap | mysql | sql$ | backend | storage error | quota check
		| cannot open | unable to open | cant open | cannot create | cant create | cannot write
		| cannot read | resources temporarily | resources unavailable | software error | unable to process
		| unable to deliver | unable to verify | unverified address | address verification
		| verification in progress | unexpected | exception | processing error | system failure
		| system problem | system error | temporary error | temporary failure | temporary problem
		| temporarily unable | temporary server | temporary system | temporary local | temporary lookup
		| temporary resolution | temporarily unavailable | temporarily not available | tempfail | temp fail
		| delivery temporarily | maintenance | milter | scanner | scan error | not running | crashed
		| voruebergehend | zeitweise | temporairement | indisponible | temporalmente | temporariamente
		| indisponivel | no disponible | 系统错误 | 系统繁忙 | 服务器错误 | 暂时 | 一時的 | メンテナンス | サーバーエラー`, ""},
	{"try-again", throttled, "4xx", `
		try again | try later | retry | defer | delay | later$ | plus tard | spaeter | mas tarde | 稍后 | 再试
		| 後で | temporarily rejected | temporarily reject | temporarily refused | temporarily block`, "local | mailbox unavailable"},

	// Talk of the protocol (RFC 3463 §3.6)
	{"protocol", other, "", `
		syntax error | command unrecognized | unrecognized command | command not | bad sequence
		| protocol violation | not implemented | unknown command | invalid command | command parameter
		| commands | parameters | pipelin | out of sequence | need rcpt | need mail | parse | argument
		| command`, ""},
	{"rejected-unclear", spam, "5.7.1", `
		message rejected | mail rejected | email rejected | message refused | message denied
		| message was rejected | rejected$ | refused$ | denied$ | declined`, "recipient"},
}

// codeRules are for replies whose words say nothing.
var codeRules = []rule{
	// Yahoo "SMTP error codes": 421 and 451 are never the server's trouble, always what it thinks of the sender's rate
	{"yahoo-421", throttled, "421 451 site:yahoo", "", ""},

	// Enhanced codes, RFC 3463 §3.2 to §3.8
	{"x.1-recipient", gone, "5.1.1 5.1.2 5.1.3 5.1.6 5.1.10", "", sender + " | message | mail reject | blocked | access"},
	{"x.1-sender", auth, "x.1.7 x.1.8 x.1.9", "", ""},
	{"x.1-for-now", other, "4.1.1 4.1.2 4.1.0", "", ""},
	{"x.2.1", gone, "5.2.1", "", sender + " | message | blocked | access"},
	{"x.2.3", content, "x.2.3 x.3.4", "", ""},
	{"x.2.4", other, "x.2.4", "", ""},
	{"x.3", offline, "x.3.1 x.3.2 x.3.3 x.3.5", "", ""},
	{"x.4.5", throttled, "x.4.5 x.5.3", "", ""},
	{"x.4", offline, "x.4.*", "", ""},
	{"x.5", other, "x.5.1 x.5.2 x.5.4 x.5.5", "", ""},
	{"x.7-crypto", auth, "x.7.5 x.7.7 x.7.8 x.7.9 x.7.11 x.7.14", "", ""},
	{"x.7-for-now", throttled, "4.7.*", "", ""},
	{"x.7-for-good", policy, "5.7.*", "", ""},

	// Reply codes, RFC 5321 §4.2.3, RFC 4954 §6, RFC 7504
	{"421", offline, "421", "", ""},
	{"450", other, "450", "", ""},
	{"451", offline, "451", "", ""},
	{"452", throttled, "452 432", "", ""},
	{"auth-codes-smtp", auth, "454 530 534 535 538", "", ""},
	{"no-mail-here", gone, "556", "", sender},
	{"552", full, "552", "", "message | content"},
	{"553", auth, "553", "", "recipient"},
	{"protocol-codes", other, "500 501 502 503 504 521 523", "", ""},

	// No reply at all: the sender's own words
	{"4xx", other, "4xx", "", ""},
	{"5xx", other, "5xx", "", ""},
}
