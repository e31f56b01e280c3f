// The texts of the pages in German, with the formal address.
import type { Texts } from './en.ts';

export const de: Texts = {
  lang: 'de',
  dir: 'ltr',
  foot: 'Valetkey verwahrt die Schlüssel zu Ihren verbundenen Konten.',
  form: {
    tryAgain: 'Erneut versuchen',
    optional: '(optional)',
    example: 'Zum Beispiel {example}.',
    error: 'Fehler: {message}',
    check: 'Bitte prüfen Sie Ihre Eingaben',
    noCookie:
      'Ihr Browser hat das Cookie dieser Seite nicht gesendet, und ohne es geht es nicht weiter. Erlauben Sie Cookies für diese Website, und versuchen Sie es erneut.',
    required: '{field}: Diese Angabe fehlt',
    invalid: '{field}: Diese Angabe ist ungültig',
    requiredExample: '{field}: Diese Angabe fehlt, zum Beispiel {example}',
    invalidExample: '{field}: Diese Angabe ist ungültig; richtig wäre zum Beispiel {example}',
  },
  stub: {
    whoAsks: 'Anfrage von',
    onBehalfOf: 'Im Namen von',
    accountAt: 'Konto bei',
    connectedAs: 'Verbunden als',
    whatHappened: 'Was geschehen ist',
    reference: 'Referenz',
  },
  confirm: {
    heading: 'Verbinden Sie Ihr Konto bei {provider} mit {app}',
    lead: '{app} bittet um Zugriff auf Ihr Konto bei {provider}. {provider} bittet Sie, sich anzumelden und zuzustimmen; danach kann {app} das Konto für die Person nutzen, die diesen Link erstellt hat, auch wenn Sie nicht da sind.',
    leadFor:
      '{app} bittet im Namen von {owner} um Zugriff auf Ihr Konto bei {provider}. {provider} bittet Sie, sich anzumelden und zuzustimmen; danach kann {app} das Konto für {owner} nutzen, auch wenn Sie nicht da sind.',
    caution:
      'Fahren Sie nur fort, wenn Sie dies selbst in {app} begonnen haben. Falls Ihnen jemand diesen Link geschickt hat, würde Ihr Konto für diese Person verbunden: Schließen Sie dann dieses Fenster.',
    whereIsAccount: '{provider} muss wissen, wo Ihr Konto zu finden ist.',
    go: 'Weiter zu {provider}',
  },
  picker: {
    heading: 'Wählen Sie ein Konto, das Sie mit {app} verbinden möchten',
    lead: '{app} bittet um Zugriff auf eines Ihrer Konten. Wenn Sie zustimmen, kann {app} das Konto für die Person nutzen, die diesen Link erstellt hat, auch wenn Sie nicht da sind.',
    leadFor:
      '{app} bittet im Namen von {owner} um Zugriff auf eines Ihrer Konten. Wenn Sie zustimmen, kann {app} das Konto für {owner} nutzen, auch wenn Sie nicht da sind.',
    choices: 'Wo haben Sie Ihr Konto?',
    another: 'Anderes Konto wählen',
  },
  credentials: {
    lead: '{app} bittet um Zugriff auf Ihr Konto bei {provider}. Mit dem, was Sie hier eingeben, kann {app} das Konto für die Person nutzen, die diesen Link erstellt hat, auch wenn Sie nicht da sind.',
    leadFor:
      '{app} bittet im Namen von {owner} um Zugriff auf Ihr Konto bei {provider}. Mit dem, was Sie hier eingeben, kann {app} das Konto für {owner} nutzen, auch wenn Sie nicht da sind.',
    checked:
      'Ihre Eingaben werden bei {provider} geprüft und verschlüsselt gespeichert. Sie werden nicht mehr angezeigt.',
    whereToFind: 'Wo Sie dies bei {provider} finden (öffnet ein neues Fenster)',
    go: 'Prüfen und verbinden',
    rejected: '{provider} nimmt Ihre Eingaben nicht an. Es wurde nichts gespeichert.',
    unexpected: '{provider} hat unerwartet geantwortet. Prüfen Sie Ihre Eingaben. Es wurde nichts gespeichert.',
    unavailable:
      '{provider} antwortet gerade nicht, daher konnten Ihre Eingaben nicht geprüft werden. Es wurde nichts gespeichert: Warten Sie einen Moment, und versuchen Sie es dann noch einmal.',
  },
  connected: {
    title: '{provider} ist verbunden',
    heading: 'Ihr Konto bei {provider} ist verbunden',
    close: 'Sie können dieses Fenster schließen.',
    back: 'Weiter zu {app}',
  },
  waiting: {
    heading: 'Einen Moment bitte',
    lead: 'Ihr Konto wird gerade verbunden. Diese Seite zeigt das Ergebnis, sobald es feststeht.',
    stuck:
      'Falls Sie die Anmeldeseite verlassen haben oder innerhalb einer Minute nichts geschieht, versuchen Sie es erneut.',
  },
  wanted: 'Verbunden ist das Konto {account}.',
  portal: {
    heading: 'Ihre verbundenen Konten',
    welcome:
      'Hier sehen Sie, welche Ihrer Konten mit {app} verbunden sind. Sie können sie erneut verbinden oder die Verbindung trennen.',
    caution:
      'Fahren Sie nur fort, wenn Sie von {app} hierher gekommen sind. Falls Ihnen jemand diesen Link geschickt hat, schließen Sie dieses Fenster.',
    enter: 'Meine Konten anzeigen',
    lead: 'Diese Konten sind mit {app} verbunden.',
    none: 'Mit {app} ist kein Konto verbunden.',
    active: 'Verbunden',
    needsReauth: 'Muss erneut verbunden werden',
    onHold: 'Von {provider} gesperrt',
    since: 'Seit',
    account: 'Konto',
    label: 'Name',
    status: 'Status',
    more: 'Mehr anzeigen',
    reconnect: 'Erneut verbinden',
    disconnect: 'Trennen',
    confirmHeading: 'Verbindung zu Ihrem Konto bei {provider} trennen?',
    confirmLead: '{app} kann das Konto ab diesem Moment nicht mehr nutzen. Sie können es später wieder verbinden.',
    keep: 'Verbunden lassen',
    disconnected: 'Das Konto bei {provider} ist getrennt.',
    reconnected: 'Das Konto bei {provider} ist verbunden.',
    notReconnected: 'Das Konto wurde nicht verbunden.',
    back: 'Zurück zu {app}',
  },
  refusals: {
    invalid_state: {
      title: 'Diese Anmeldung kann nicht fortgesetzt werden',
      message: 'Die Antwort gehört zu keiner Anmeldung, die in diesem Browser läuft.',
      advice:
        'Vielleicht ist sie schon abgeschlossen, oder sie hat zu lange gedauert. Falls Ihr Konto nicht verbunden ist, beginnen Sie noch einmal in der App, aus der Sie gekommen sind.',
    },
    other_browser: {
      title: 'Bitte verwenden Sie den Browser, in dem Sie begonnen haben',
      message:
        'Dieser Link wurde zuerst in einem anderen Browser geöffnet, und nur dort geht es weiter. Es wurde nichts verbunden.',
      advice:
        'Kehren Sie zu jenem Browser zurück, oder bitten Sie um einen neuen Link. Falls Sie den Link noch nicht geöffnet hatten, fahren Sie nicht fort, und sagen Sie der Person Bescheid, die ihn geschickt hat.',
    },
    invitation_used: {
      title: 'Dieser Link wurde schon verwendet',
      message: 'Jeder Link funktioniert nur einmal.',
      advice:
        'Falls Ihr Konto nicht verbunden ist, fordern Sie in der App, aus der Sie gekommen sind, einen neuen Link an.',
    },
    invitation_expired: {
      title: 'Dieser Link ist abgelaufen',
      message: 'Zu Ihrer Sicherheit gilt ein Link nur zehn Minuten. Es wurde nichts verbunden.',
      advice: 'Fordern Sie in der App, aus der Sie gekommen sind, einen neuen Link an.',
    },
    invitation_cancelled: {
      title: 'Dieser Link gilt nicht mehr',
      message: 'Die App, von der er stammt, hat ihn zurückgezogen. Es wurde nichts verbunden.',
      advice: 'Fordern Sie in der App, aus der Sie gekommen sind, einen neuen Link an.',
    },
    access_denied: {
      title: 'Sie haben abgebrochen',
      message: 'Sie haben abgebrochen. Es wurde nichts verbunden.',
      advice:
        'Sie können dieses Fenster schließen. Wenn Sie es sich anders überlegen, beginnen Sie noch einmal in der App, aus der Sie gekommen sind.',
    },
    provider_error: {
      title: '{provider} hat abgelehnt',
      message: '{provider} hat es abgelehnt, Ihr Konto zu verbinden. Es wurde nichts verbunden.',
      advice:
        'Vielleicht fehlen Ihnen die nötigen Rechte, oder jemand aus der Administration muss dies zuerst genehmigen. Im Zweifel nennen Sie die Referenz unten dem Team, das die App betreibt.',
    },
    provider_unavailable: {
      title: '{provider} antwortet nicht',
      message: '{provider} ist gerade nicht erreichbar. Es wurde nichts verbunden.',
      advice: 'Warten Sie einige Minuten, und beginnen Sie dann noch einmal in der App, aus der Sie gekommen sind.',
    },
    invalid_answer: {
      title: 'Die Antwort war nicht vertrauenswürdig',
      message:
        'Was von {provider} zurückkam, hat unsere Prüfungen nicht bestanden und wurde nicht verwendet. Es wurde nichts verbunden.',
      advice:
        'Beginnen Sie noch einmal in der App, aus der Sie gekommen sind. Falls es wieder geschieht, nennen Sie die Referenz unten dem Team, das sie betreibt.',
    },
    identity_mismatch: {
      title: 'Das ist ein anderes Konto',
      message:
        'Sie haben sich bei {provider} mit einem anderen Konto angemeldet als dem, das verbunden ist. Es wurde nichts geändert.',
      advice:
        'Melden Sie sich bei {provider} mit dem Konto an, das Sie zuvor verwendet haben. Sie können es erneut versuchen oder später um einen neuen Link bitten.',
    },
    account_unknown: {
      title: 'Wir konnten nicht erkennen, welches Konto das ist',
      message: '{provider} hat nicht mitgeteilt, mit wessen Konto Sie sich angemeldet haben. Es wurde nichts geändert.',
      advice: 'Bitten Sie um einen neuen Link, und erlauben Sie alles, worum {provider} bittet.',
    },
    integration_misconfigured: {
      title: 'Die Verbindung zu {provider} ist nicht richtig eingerichtet',
      message: 'Das liegt nicht an Ihnen, und ein neuer Versuch hilft nicht. Es wurde nichts verbunden.',
      advice: 'Nennen Sie die Referenz unten dem Team, das die App betreibt: Es muss die Einstellungen korrigieren.',
    },
    connection_gone: {
      title: 'Diese Verbindung gibt es nicht mehr',
      message: 'Sie wurde entfernt. Es gibt also nichts zu erneuern.',
      advice:
        'Fordern Sie in der App, aus der Sie gekommen sind, einen neuen Link an, um Ihr Konto wieder zu verbinden.',
    },
    not_found: {
      title: 'Hier ist nichts',
      message: 'Dieser Link stammt nicht von uns, oder ein Teil davon fehlt.',
      advice: 'Kopieren Sie den ganzen Link, oder fordern Sie in der App, aus der Sie gekommen sind, einen neuen an.',
    },
    not_a_navigation: {
      title: 'Öffnen Sie diesen Link in einem eigenen Fenster',
      message:
        'Der Link wurde von einer Vorschau, von einer anderen Seite oder im Voraus aufgerufen und nicht von einem Menschen geöffnet.',
      advice: 'Klicken Sie darauf, oder kopieren Sie ihn in die Adresszeile. Er funktioniert weiterhin.',
    },
    invalid_form: {
      title: 'Ihre Eingaben waren nicht lesbar',
      message: 'Das Formular war beschädigt oder viel zu lang. Es wurde nichts verbunden.',
      advice: 'Gehen Sie zurück, und geben Sie alles noch einmal und kürzer ein. Der Link funktioniert weiterhin.',
    },
    portal_ended: {
      title: 'Diese Seite ist nicht mehr verfügbar',
      message:
        'Zu Ihrer Sicherheit ist die Seite Ihrer verbundenen Konten nur eine Stunde lang und nur in einem Browser offen.',
      advice: 'Öffnen Sie sie noch einmal in der App, aus der Sie gekommen sind.',
    },
    unavailable: {
      title: 'Gerade ist zu viel los',
      message: 'Wir können dies im Moment nicht nachsehen. Es wurde nichts verbunden.',
      advice: 'Warten Sie einen Moment, und versuchen Sie es dann noch einmal. Der Link funktioniert weiterhin.',
    },
    internal: {
      title: 'Bei uns ist etwas schiefgegangen',
      message: 'Es lag nicht an Ihnen, und wir wissen nicht, ob Ihr Konto jetzt verbunden ist.',
      advice:
        'Sehen Sie in der App nach, aus der Sie gekommen sind, und beginnen Sie dort, falls nötig, noch einmal. Mit der Referenz unten finden wir die Ursache.',
    },
    other: {
      title: 'Ihr Konto konnte nicht verbunden werden',
      message: 'Etwas kam dazwischen. Es wurde nichts verbunden.',
      advice:
        'Beginnen Sie noch einmal in der App, aus der Sie gekommen sind. Falls es wieder geschieht, nennen Sie die Referenz unten dem Team, das sie betreibt.',
    },
  },
  theOtherService: 'Der andere Dienst',
};
