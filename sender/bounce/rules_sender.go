package bounce

// senderRules are what receivers say of us: authorisation, reputation, rate.
var senderRules = []rule{
	// What is wrong with the message itself, said by receivers that otherwise talk of spam or senders
	{"malware", content, "", `
		virus | viral | malware | infected | trojan | worm$ | malicious attachment | malicious content
		| eicar | potential security issue | security threat`, "spam"},
	{"illegal-attachment", content, "", `
		illegal attachment | attachment
		& not allowed | not accept | blocked | rejected | exceeds | prohibited | banned | refused
		| forbidden | denied | number of attachments | unsafe | dangerous | disallowed | executable`, ""},
	{"not-compliant", content, "", `
		rfc 5322 | rfc 2822 | rfc 822 | rfc5322 | rfc2822 | rfc822 | missing a valid
		| multiple addresses in from | missing message id | missing date | missing from header
		| duplicate header | multiple from | no from header | message id header | without from header
		| without date | without subject | date header is missing | invalid date header | missing headers
		| header is missing | missing required header`, "from domain | dmarc | spf$ | dkim"},

	// What Postfix and its kin say in one breath, whatever else a report quotes after it
	{"gone-recipient-rejected-unknown", gone, "", `
		recipient address rejected
		& user unknown | unknown user | unknown in | undeliverable address | no such user | user not found
		| account suspended | suspended due | recipient suspended`, ""},

	// Authorisation: SPF (RFC 7208), DKIM (RFC 6376), DMARC (RFC 7489)
	{"dmarc", auth, "", "dmarc", ""},
	{"spf", auth, "", `
		spf$ | sender policy framework | sender id | senderid | purported responsible | pra$ | spf1 | spfv1`, ""},
	{"dkim", auth, "", "dkim | domainkeys | domain keys", ""},
	{"arc", auth, "", "arc$ & fail | invalid | broken", ""},
	{"not-authenticated", auth, "", `
		authentication checks failed | unauthenticated | not authenticated | mismatches client ip
		| authentication level | authentication requirements | email authentication | authentication result
		| authentication fail | authentication information | fails authentication | sender authentication
		| pass authentication | failed authentication | authenticate with either | isnt authenticated
		| lacks authentication`, "from this range | headers"},
	{"spoofing", auth, "", "spoof | forged | forgery | impersonat | fake sender | faked sender | faelsch", ""},

	// Who we are: PTR records and host names
	{"no-ptr", auth, "", `
		reverse dns | invalid dns mx | rdns$ | ptr$ | reverse lookup | reverse hostname | reverse host
		| reverse name | reverse ip | reverse resolution | reverse mapping | fcrdns | forward confirmed
		| cannot find your hostname | cannot find your reverse | cant find your hostname
		| ip name lookup failed | cannot resolve your | cannot resolve ip | unable to resolve your
		| missing reverse | no reverse | reverso | dns inverse | inverse dns | rueckwaerts`, ""},

	// Relaying
	{"relay", auth, "", `
		relay denied | relaying | relay access | relay not | relay is not | relay mail | relay prohibit
		| relay reject | relay operation | relay refused | relay forbidden | open relay | mail relay
		| to relay | as a relay | a relay | unable to relay | cannot relay | not relay | no relay
		| for relay | domain at this location | specified domain is not allowed | non local | nonlocal
		| relay disallowed | relay attempt | insecure mail relay | rcpthosts | not a gateway
		| handle mail for | dont accept mail for | not accept mail for | mail for this domain
		| domain isnt in my list | domain is not hosted here | domain not hosted | not a local domain
		| not local domain | not hosted here | domain isnt allowed to be relayed | local user only`, "relay recipient"},

	// Our credentials (RFC 4954)
	{"credentials", auth, "", `
		authentication required | authentication is required | must authenticate | be authenticated
		| for new mail before | please authenticate | need to authenticate | authentication credentials
		| authentication unsuccessful | bad username | bad credential | invalid credential
		| username and password | login attempt | log in | please login | must login | login first
		| password | authenticate first | smtp auth | auth required | auth first | authentication first
		| requires authentication | authentication failed | fail authentication | not logged in
		| authenticated connection | pop before smtp | check mail first | authenticate before`, ""},

	// The sender's address (RFC 5321 §3.3; RFC 3463 §3.2 X.1.7 and X.1.8)
	{"sender-syntax", content, "x.1.7", "", ""},
	{"sender-rate", throttled, "", `
		sender has exceeded | sender exceeded | sender is sending too | from this sender too | sender limit
		| sender rate`, ""},
	{"sender-on-blocklist", spam, "", `
		sender | helo | ehlo
		& spamhaus | blacklist | blocklist | black list | block list | blackhole | poor reputation
		| bad reputation | spammer | rbl$`, ""},
	{"sender-blocked-by-rule", policy, "", `
		sender denied | sender blocked | sender is blocked | senders blocked | blocked the sender
		| sender not allowed to send to | sender is not allowed | sender refused by | sender is restricted
		| sender has been blocked | sender was blocked`, ""},
	{"helo", spam, "", "helo | ehlo", `
		lost connection | handshake | command first | hello first | polite people | out of sequence
		| send helo | send ehlo`},
	{"helo-name", spam, "501", "invalid domain name", ""},
	{"sender-refused", auth, "", `
		sender address | sender reject | sender denied | sender domain | senders domain | sender email
		| sender verif | verify sender | verify the sender | verifying sender | invalid sender
		| sender invalid | sender is invalid | bad sender | unknown sender | sender unknown | sender not
		| sender is not | sender does not | sender doesnt | sender refused | sender non | domain of sender
		| sender @ | unauthorized sender | unauthorised sender | sender host | from address | mail from
		| return path | envelope sender | envelope from | from domain | sending domain
		| domain of the sender | originating domain | originator | not owned by | not allowed to send as
		| not authorized to send | not authorised to send | unroutable sender | unrouteable sender
		| null sender | sender mx | sender s domain | emetteur invalide | expediteur | remitente | remetente
		| absender
		& reject | refuse | invalid | den | not | non | fail | unknown | unresolv | does not | doesnt
		| cannot | cant find | could not | couldnt | unable | no$ | unrout | verif | block | bad | without
		| empty | desconocid | inval | abgelehnt | unbekannt | existe | must | disallow | unauthori
		| ungueltig | nicht`, "policy reasons | blocked for spam | spam | client host"},

	// Reputation and blocklists; cPanel lists all reasons at once
	{"any-reason", other, "", "may not exist they may be blacklisted", ""},
	{"reputation", spam, "", `
		reputation | untrusted ip | new or untrusted | senderscore | sender score | sender intelligence
		| senderbase`, ""},
	{"blocklist", spam, "", `
		spamhaus | spamcop | sorbs | barracudacentral | barracuda | dnsbl | rbl$ | rbls | rbldns | blacklist
		| black list | blocklist | block list | block listed | blackhole | denylist | deny list
		| blocked using | uceprotect | invaluement | surbl | uribl | abusix | njabl | manitu | cbl$
		| cbl abuseat | zen$ | real time list | liste noire | listas negras | lista negra | schwarze liste
		| sperrliste | 黑名单 | 黑名單 | ブラックリスト | dsbl | spfbl | psbl | mailspike | backscatterer | no more funn
		| hostkarma | truncate gbudb`, "whitelist"},
	{"sending-to-unknowns", spam, "", `
		too many invalid | many invalid recip | excessive invalid | excessive rejected | many rejected recip
		| many unknown | excessive unknown | too many bad recip | directory harvest | dictionary attack`, ""},
	{"host-refused", spam, "", `
		client host reject | client host blocked | may not be mail exchanger | dynamic ip | dynamically
		| dynamic zombied | dynamic address | dynamic pool | dialup | dial up | residential
		| generic hostname | generic host | access from ip | invalid ip for sending
		| host network not allowed | no access from | network is temporary | hosts with dynamic
		| you are not allowed to connect | not allowed to connect | not permitted to connect
		| not accept connections from | connections will not be accepted | connection denied
		| unauthenticated mail not allowed from this range | not accepting connections | no smtp service
		| connect from | connecting ip | not welcome | bulk mailer | banned | ban list | your host is
		| refused by blocklist | access from your | your country | geoip | from this country
		| ip is rejected | ip is hangup | not recommended`, "too many | too frequent | slower"},
	{"address-of-ours-blocked", spam, "", `
		ip$ | ips | % | ip address | mail server | mailserver | mta$ | your server | your host | network
		| subnet | ipv6
		& blocked | is listed | been listed | listed in | listed on | listed at | listed by | blacklisted
		| blocklisted | banned | denied | rejected | refused | not allowed | not authorized | not permitted
		| not accepted | has been block | prohibited | filtered | suspicious | untrusted | gesperrt | bloque
		| bloquead`, "recipient address rejected | rate limit | too many | throttl | slower | temporarily rejected message"},

	{"spam-plain", spam, "", `
		judged to be spam | considered spam | considered as spam | identified as spam | detected as spam
		| classified as spam | flagged as spam | marked as spam | rejected as spam | looks like spam
		| appears to be spam | spam detected | spam message | is spam | spam content | spam source`, ""},

	// Rate: what it says of time and number
	{"quota-of-messages", throttled, "", `
		daily quota | hourly quota | queue quota | message quota | organization queue | sending quota
		| rate quota | mail quota`, "mailbox size"},
	{"rate", throttled, "", `
		rate limit | ratelimit | rate exceed | rate control | rate is too | throttl | slow down | slower
		| slowing | too fast | too quickly | too frequent | too often | too much mail | too much concurrent
		| too many connect | too many concurrent | too many simultaneous | too many session
		| too many message | too many email | too many mail | too many smtp | too many client
		| too many error | too many fail | too many request | too many recip | too many rcpt
		| too many transactions | too many deferred | too many parallel | too many open | too many from
		| too many bad | too many delivery | many recipients | many connections | many messages
		| max connections | maximum connections | maximum number of con | maximum number of mess
		| maximum number of recip | maximum number of concurrent | maximum concurrent | connection limit
		| connections limit | connection rate | connection frequency | connection count | message limit
		| mail limit | email limit | messages limit | recipient limit | recipients limit | per hour
		| per day | per minute | per second | this hour | hourly | daily | excessive connections
		| excessive number | exceeded the limit | exceeded their limit | exceeded its limit
		| exceeded the maximum number | exceeds the maximum number | exceeded your | exceeded maximum
		| limit exceeded
		& connect | messages | mails | email | recipients | per$ | send | sent | rate | from | sender | too
		| hour | day`, `
		line | storage | size | mailbox quota | over quota | disk | attachment`},
	{"rate-plain", throttled, "", `
		rate limit | ratelimit | throttl | slow down | too many connections | too many concurrent
		| too many sessions | too frequent | too many messages | too many recipients | too many rcpt
		| too many emails | too many mails | send limit | mail send limit | sent too many | sending too many
		| sends too many | too fast | deferred due to volume | traffic limit | flow control
		| intentionally delayed | delayed intentionally | zu viele | demasiados | demasiadas | demasiad
		| muitas conex | muitas mens | 频率 | 頻率 | 过于频繁 | 超过限制 | 流量`, ""},
	{"rate-ja", throttled, "", "接続数 | 同時接続 | 流量制限 | 送信制限 | 大量送信", ""},
	{"greylist", throttled, "", `
		greylist | graylist | grey list | gray list | greylisting | postgrey | first time sender
		| come back later | come back in | please wait | try again in | retry in | retry after | try after
		| please retry later | not yet authorized to deliver | 灰名单`, "maintenance | unavailable | system"},

	// Spam by its words; after rate and authorisation, whose replies promise to protect users from spam
	{"spam-word", spam, "", `
		spam | spammy | spammer | spamming | junk mail | junk email | bulk mail | bulk email | unsolicited
		| uce$ | ube$ | phish | fraud | scam$ | suspicious$ | suspicion | suspect | abuse$ | abusive
		| objectionable | cloudmark | spamassassin | brightmail | vade$ | intrusion prevention | badmailfrom
		| antispam | high probability | offensive | advertis | nicht erwuenscht | unerwuenscht
		| courrier indesirable | pourriel | correo no deseado | no deseado | nao solicitad | lixo eletronico
		| 垃圾 | 迷惑メール | スパム | 疑似`, "to protect our users | sent to gmail"},
	{"content-refused", content, "", `
		content reject | content denied | content refused | content was rejected | content blocked
		| content judged`, ""},
	{"blocked-word", policy, "", `
		message filtered | mail filtered | email filtered | content filter | blocked see | message blocked
		| mail blocked | email blocked | message was blocked | message is blocked | been blocked
		| filtered$`, "recipient | size | attachment | inactiv"},
	{"nothing-to-yourself", spam, "", "redundant & yourself", ""},
}
