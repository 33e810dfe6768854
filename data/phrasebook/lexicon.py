# ruff: noqa: E501
"""The words of the phrasebook: French and English side by side, read by `data.phrasebook.words`.

Entries stand between semicolons and line ends; within a class the most frequent words come first, and are drawn most
often. An underscore stands for a space within an English word. Classes of nouns say what fits together: which
adjectives describe a noun, and of which verbs it is the object.
"""

# Names of several classes together.
GROUPS = """
people = person family
living = person family animal
objects = thing text clothes furniture opening vehicle robot
takeable = thing text clothes
edible = food mass drink
everything = person family animal robot food mass drink vehicle text thing clothes furniture opening place shop street inside
"""

# French singular[/plural], gender, English singular[/plural], classes; the first class chooses the adjectives.
NOUNS = """
homme m man/men person; femme f woman/women person; garçon m boy person; fille f girl person; enfant m child/children person
ami m friend person role; amie f friend person role; professeur m teacher person job; médecin m doctor person job
étudiant m student person job; étudiante f student person job; élève m pupil person role; bébé m baby person
voisin m neighbour person role; voisine f neighbour person role; copain m friend person; copine f friend person
-/gens m -/people person; personne f person/people person
monsieur/messieurs m gentleman/gentlemen person; dame f lady person
policier m policeman/policemen person job; serveur m waiter person job; serveuse f waitress person job
infirmière f nurse person job; boulanger m baker person job; boulangère f baker person; avocat m lawyer person job
avocate f lawyer person job; ingénieur m engineer person job; acteur m actor person job; actrice f actress person job
chanteur m singer person job; chanteuse f singer person job; dentiste m dentist person job; facteur m postman/postmen person job
fermier m farmer person job; ouvrier m worker person job; directeur m director person; directrice f director person
touriste m tourist person; roi m king person; reine f queen person; soldat m soldier person job; peintre m painter person job
danseur m dancer person job; danseuse f dancer person job; cuisinier m cook person job; vendeur m salesman/salesmen person job
vendeuse f saleswoman/saleswomen person job; journaliste m journalist person job; chauffeur m driver person; client m customer person

mère f mother family unique; père m father family unique; frère m brother family; sœur f sister family; fils m son family; fille f daughter family
mari m husband family unique; femme f wife/wives family unique; oncle m uncle family; tante f aunt family
grand-mère/grands-mères f grandmother family; grand-père/grands-pères m grandfather family; cousin m cousin family role
cousine f cousin family role; -/parents m -/parents family; -/grands-parents m -/grandparents family

chat m cat animal; chien m dog animal; animal m animal animal; oiseau m bird animal; cheval m horse animal
souris f mouse/mice animal; poisson m fish/fish animal; vache f cow animal; lapin m rabbit animal; poule f hen animal
mouton m sheep/sheep animal; cochon m pig animal; lion m lion animal; ours m bear animal; loup m wolf/wolves animal
singe m monkey animal; éléphant m elephant animal; canard m duck animal; chèvre f goat animal; tortue f turtle animal
renard m fox animal; abeille f bee animal; serpent m snake animal; chatte f cat animal; chienne f dog animal
girafe f giraffe animal; grenouille f frog animal; âne m donkey animal; papillon m butterfly animal

robot m robot robot

pomme f apple food; gâteau m cake food dish; orange f orange food; banane f banana food; œuf m egg food; tomate f tomato food
sandwich m sandwich food dish; pizza f pizza food dish; glace f ice_cream food; poire f pear food; fraise f strawberry food; cerise f cherry food
citron m lemon food; carotte f carrot food; crêpe f pancake food dish; biscuit m biscuit food dish; tarte f tart food dish; légume m vegetable food
fruit m fruit/fruits food; croissant m croissant food; pêche f peach food; champignon m mushroom food; repas m meal food dish; oignon m onion food
pain m bread mass; fromage m cheese mass; viande f meat mass; chocolat m chocolate mass; riz m rice mass dish; beurre m butter mass
sucre m sugar mass; sel m salt mass; soupe f soup mass dish; salade f salad mass dish; poulet m chicken mass dish; confiture f jam mass; miel m honey mass
café m coffee drink cup; eau f water drink; thé m tea drink cup; lait m milk drink; vin m wine drink; jus_d'orange/jus_d'orange m orange_juice drink; bière f beer drink cup

voiture f car vehicle; train m train vehicle; bus m bus vehicle; vélo m bicycle vehicle; avion m plane vehicle; bateau m boat vehicle
taxi m taxi vehicle; camion m truck vehicle; métro m metro vehicle; moto f motorcycle vehicle; tracteur m tractor vehicle

livre m book text; lettre f letter text; journal m newspaper text; message m message text; histoire f story text; poème m poem text

balle f ball thing; clé f key thing; téléphone m phone thing; sac m bag thing; photo f photo thing; stylo m pen thing
ordinateur m computer thing; cadeau m gift thing; montre f watch thing; fleur f flower thing; verre m glass thing; ballon m balloon thing
billet m ticket thing; boîte f box thing; bouteille f bottle thing; couteau m knife/knives thing; image f picture thing; valise f suitcase thing
tasse f cup thing; assiette f plate thing; cuillère f spoon thing; fourchette f fork thing; crayon m pencil thing; carte f map thing
parapluie m umbrella thing; guitare f guitar thing; bague f ring thing; poupée f doll thing; jouet m toy thing; cahier m notebook thing
appareil m device thing; outil m tool thing; panier m basket thing; bougie f candle thing; drapeau m flag thing; caméra f camera thing
machine f machine thing; marteau m hammer thing; -/lunettes f -/glasses thing; -/ciseaux m -/scissors thing

chapeau m hat clothes; robe f dress clothes; chemise f shirt clothes; manteau m coat clothes; chaussure f shoe clothes
jupe f skirt clothes; veste f jacket clothes; pull m sweater clothes; écharpe f scarf/scarves clothes; gant m glove clothes; casquette f cap clothes
cravate f tie clothes; ceinture f belt clothes; -/vêtements m -/clothes clothes

table f table furniture; chaise f chair furniture; lit m bed furniture; lampe f lamp furniture; canapé m sofa furniture; miroir m mirror furniture
tapis m rug furniture; horloge f clock furniture; télévision f television furniture; piano m piano furniture; tableau m painting furniture; arbre m tree furniture
porte f door opening; fenêtre f window opening; mur m wall wall; toit m roof wall

maison f house place home; gare f station shop place; jardin m garden place crossing; restaurant m restaurant shop place; école f school shop place; ville f city place crossing
hôtel m hotel shop place; magasin m shop shop place; parc m park shop place crossing; cuisine f kitchen inside; chambre f bedroom inside; bureau m office place
banque f bank shop place; hôpital m hospital shop place; plage f beach surface; marché m market shop place; musée m museum shop place; cinéma m cinema shop place
supermarché m supermarket shop place; pharmacie f pharmacy shop place; boulangerie f bakery shop place; bibliothèque f library shop place; église f church shop place
village m village place crossing home; forêt f forest place crossing; théâtre m theatre shop place; aéroport m airport shop place; université f university place
appartement m apartment place home; salon m living_room inside; salle f room inside; montagne f mountain surface; château m castle place home; piscine f swimming_pool shop place
poste f post_office shop place; ferme f farm place home; usine f factory place; bar m bar shop place; île f island surface; classe f classroom inside
-/toilettes f -/toilets restroom; salle_de_bains/salles_de_bains f bathroom inside; rue f street street crossing; pont m bridge street crossing; place f square street crossing
route f road street crossing; pays m country land; mer f sea land; rivière f river land crossing; lac m lake land; campagne f countryside land; monde m world land
ciel m sky sky; soleil m sun sky; lune f moon sky; étoile f star sky

télé f television tv; film m film media; musique f music stuff sound; chanson f song song sound; radio f radio sound; match m match media; jeu m game game
football m football sport; tennis m tennis sport; basket m basketball sport; -/cartes f -/cards sport; -/échecs m -/chess sport
français m French language; anglais m English language; espagnol m Spanish language; allemand m German language; italien m Italian language
chinois m Chinese language; japonais m Japanese language; russe m Russian language; arabe m Arabic language; portugais m Portuguese language
-/mathématiques f -/mathematics subject; histoire f history subject

question f question idea asked; réponse f answer idea; problème m problem idea; idée f idea idea; mot m word idea words; phrase f sentence idea words; leçon f lesson idea task; exercice m exercise idea task
vérité f truth truth; nom m name detail; prénom m first_name detail; adresse f address detail; numéro m number detail; métier m job detail; couleur f colour detail
travail m work stuff; argent m money stuff; temps m time stuff; aide f help stuff; papier m paper stuff

jour m day time; semaine f week time; heure f hour time; mois m month time; année f year time; nuit f night time; minute f minute time; matin m morning time; soir m evening time; été m summer season; hiver m winter season
famille f family clan; vie f life abstract; chose f thing chose; amour m love abstract; feu m fire nature; pluie f rain nature; neige f snow nature; vent m wind nature; terre f earth nature

tête f head body; dos m back body; ventre m stomach body; gorge f throat body; jambe f leg body; bras m arm body; main f hand body; pied m foot/feet body; genou/genoux m knee body; œil/yeux m eye body
nez m nose body; bouche f mouth body; oreille f ear body; cœur m heart body
dent f tooth/teeth body
"""

# French masculine[,feminine[,plurals]], English, place, classes of nouns. Place: before or after the French noun, beside for
# before it but never after être, never for after être only.
ADJECTIVES = """
petit small before everything; grand tall before people; grand big before animal robot vehicle place shop thing furniture opening food street wall
beau,belle beautiful before people animal objects place shop land; nouveau,nouvelle new before objects robot place shop idea; vieux,vieille old before living objects place shop street
jeune young before people animal; bon,bonne good before food edible text media game song idea; mauvais bad before food idea media; joli pretty before objects place shop song
gros,grosse fat before animal; gros,grosse big before food; long,longue long before text idea street media; meilleur best beside role; premier,première first beside text idea vehicle media time; dernier,dernière last beside text idea vehicle time

rouge red after objects food wall robot; bleu blue after objects wall robot; vert green after objects food wall robot; jaune yellow after objects food wall robot; noir black after animal objects wall robot
blanc,blanche white after animal objects wall robot; gris grey after animal objects wall robot; rose pink after clothes thing; orange,orange,orange,orange orange after clothes; marron,marron,marron,marron brown after animal clothes thing; violet,violette purple after clothes thing

heureux happy after people; fatigué tired after people animal robot; triste sad after people animal; malade sick after people animal; content pleased never people; gentil,gentille kind after people animal robot
intelligent intelligent after people animal robot; drôle funny after people media text; riche rich after people; pauvre poor after people; célèbre famous after people; fort strong after people animal robot; faible weak after people animal
méchant mean after people animal; seul alone never people; prêt ready never people; occupé busy never people; fâché angry never people; libre free never people; timide shy after people; sérieux serious after people
poli polite after people; curieux curious after people animal; paresseux lazy after people animal robot; courageux brave after people; calme calm after people animal; perdu lost after people animal thing; jaloux,jalouse jealous after people
fier,fière proud never people; inquiet,inquiète worried after people; surpris surprised never people; prudent careful after people; sûr sure never person; marié married never person; désolé sorry never person; mince thin after people
blessé injured after people animal; nerveux nervous after people animal; sympathique nice after people; amoureux in_love never person; mort dead after animal; affamé starving after people animal
français French after person; anglais English after person; américain American after person; espagnol Spanish after person; allemand German after person; italien Italian after person; chinois Chinese after person; japonais Japanese after person; canadien Canadian after person; belge Belgian after person; suisse Swiss after person

rapide fast after vehicle robot animal; lent slow after vehicle robot animal; cher,chère expensive after objects food; propre clean after objects place shop inside; sale dirty after objects place shop robot animal; lourd heavy after thing furniture robot; léger,légère light after thing
cassé broken after thing furniture opening robot vehicle; vide empty after thing place shop inside vehicle; plein full after thing place shop vehicle; neuf,neuve brand-new after robot vehicle; utile useful after thing robot; dangereux dangerous after animal vehicle street robot
chaud hot after food drink mass; froid cold after food drink mass; frais,fraîche fresh after food mass; délicieux delicious after food mass; sucré sweet after food
ouvert open after shop opening; fermé closed after shop opening; moderne modern after place shop furniture; ancien ancient after place shop text; tranquille quiet after place shop street; large wide after street; étroit narrow after street; haut,haute high after wall
facile easy after idea game; difficile difficult after idea game; simple simple after idea; important important after idea text; intéressant interesting after idea text media; magnifique magnificent after place shop clothes media; parfait perfect after idea; bizarre strange after idea text; étrange strange after animal
"""

# A sentence takes one English adjective of each entry: nothing is red and blue.
RIVALS = """
red,blue,green,yellow,black,white,grey,pink,brown,purple,orange; small,big,fat,tall,thin; old,new,young,modern,ancient,brand-new; happy,sad,pleased,angry
strong,weak; rich,poor; brave,shy; fast,slow; clean,dirty; heavy,light; hot,cold,fresh,sweet; good,bad,delicious; open,closed,full,empty; narrow,wide; kind,mean,nice; easy,difficult,simple
beautiful,pretty,magnificent; French,English,American,Spanish,German,Italian,Chinese,Japanese,Canadian,Belgian,Swiss; dead,tired,sick,injured,starving; intelligent,curious; careful,brave; sure,sorry,surprised
"""

# Adjectives after "c'est" and "it is".
JUDGEMENTS = """
bon = good; vrai = true; facile = easy; difficile = difficult; beau = beautiful; cher = expensive; important = important; possible = possible; impossible = impossible
fini = finished; bizarre = strange; intéressant = interesting; amusant = fun; dangereux = dangerous; parfait = perfect; faux = false; délicieux = delicious; magnifique = magnificent
chaud = hot; froid = cold; loin = far; ici = here; gratuit = free; fermé = closed; ouvert = open; trop tard = too late; triste = sad; drôle = funny; simple = simple; nouveau = new; utile = useful; super = great; nul = awful
"""

# Adverbs before an adjective, and what stands with être besides an adjective.
DEGREES = "très = very; trop = too; vraiment = really; assez = quite; si = so"
BE_STATES = """
en retard = late; ici = here; là = there; en vacances = on holiday; en colère = angry; à la maison = at home; à l'école = at school; au travail = at work
au lit = in bed; dehors = outside; en avance = early; en bonne santé = in good health; en danger = in danger; debout = standing; ensemble = together
"""
HAVE_STATES = "faim = hungry; soif = thirsty; froid = cold; chaud = hot; peur = afraid; raison = right; sommeil = sleepy; tort = wrong; honte = ashamed"
HEALTH = "bien = fine; mieux = better; très bien = very well"

# The vowel before -e, -es, -ent and in the future of verbs in -er, where it differs from the infinitive's.
STRONG_STEMS = """
acheter = achèt; lever = lèv; appeler = appell; préférer = préfèr; espérer = espèr; nettoyer = nettoi; promener = promèn; payer = pai; essayer = essai; jeter = jett; répéter = répèt; protéger = protèg
"""

# Présent of je, tu, il, nous, vous, ils; past participle; stem of the future.
IRREGULAR = """
être = suis es est sommes êtes sont été ser; avoir = ai as a avons avez ont eu aur; aller = vais vas va allons allez vont allé ir
faire = fais fais fait faisons faites font fait fer; prendre = prends prends prend prenons prenez prennent pris prendr
apprendre = apprends apprends apprend apprenons apprenez apprennent appris apprendr; comprendre = comprends comprends comprend comprenons comprenez comprennent compris comprendr
mettre = mets mets met mettons mettez mettent mis mettr; voir = vois vois voit voyons voyez voient vu verr; vouloir = veux veux veut voulons voulez veulent voulu voudr
pouvoir = peux peux peut pouvons pouvez peuvent pu pourr; devoir = dois dois doit devons devez doivent dû devr; savoir = sais sais sait savons savez savent su saur
connaître = connais connais connaît connaissons connaissez connaissent connu connaîtr; venir = viens viens vient venons venez viennent venu viendr; revenir = reviens reviens revient revenons revenez reviennent revenu reviendr
tenir = tiens tiens tient tenons tenez tiennent tenu tiendr; lire = lis lis lit lisons lisez lisent lu lir; écrire = écris écris écrit écrivons écrivez écrivent écrit écrir; dire = dis dis dit disons dites disent dit dir
boire = bois bois boit buvons buvez boivent bu boir; croire = crois crois croit croyons croyez croient cru croir; vivre = vis vis vit vivons vivez vivent vécu vivr; suivre = suis suis suit suivons suivez suivent suivi suivr
dormir = dors dors dort dormons dormez dorment dormi dormir; partir = pars pars part partons partez partent parti partir; sortir = sors sors sort sortons sortez sortent sorti sortir; courir = cours cours court courons courez courent couru courr
servir = sers sers sert servons servez servent servi servir; mentir = mens mens ment mentons mentez mentent menti mentir; ouvrir = ouvre ouvres ouvre ouvrons ouvrez ouvrent ouvert ouvrir; conduire = conduis conduis conduit conduisons conduisez conduisent conduit conduir
rire = ris ris rit rions riez rient ri rir; sourire = souris souris sourit sourions souriez sourient souri sourir; peindre = peins peins peint peignons peignez peignent peint peindr; mourir = meurs meurs meurt mourons mourez meurent mort mourr
construire = construis construis construit construisons construisez construisent construit construir; envoyer = envoie envoies envoie envoyons envoyez envoient envoyé enverr
asseoir = assieds assieds assied asseyons asseyez asseyent assis assiér; naître = nais nais naît naissons naissez naissent né naîtr
"""
IMPARFAIT = ("ais", "ais", "ait", "ions", "iez", "aient")
FUTURE = ("ai", "as", "a", "ons", "ez", "ont")
ETRE_VERBS = "aller arriver partir venir revenir entrer sortir rester rentrer retourner monter descendre tomber mourir naître devenir"

# Past, and the form in -ing where it is irregular.
IRREGULAR_ENGLISH = """
be was; have had; do did; go went; come came; see saw seeing; eat ate; drink drank; take took; put put; read read; write wrote; speak spoke; say said; tell told; understand understood
know knew; find found; lose lost; forget forgot forgetting; give gave; show showed; lend lent; send sent; bring brought; buy bought; sell sold; wear wore; draw drew; drive drove; break broke; cut cut; make made
sleep slept; run ran; swim swam; sing sang; think thought; leave left; fall fell; get got; feed fed; hide hid; win won; choose chose; catch caught; throw threw; meet met; hear heard; learn learned; teach taught
lie lied; sit sat; pay paid; build built; hold held; feel felt; travel travelled travelling; prefer preferred preferring; begin began beginning; keep kept; ride rode; die died; fly flew; hit hit; stand stood; grow grew; begin began
visit visited; listen listened; open opened; answer answered; follow followed; order ordered; cross crossed; whisper whispered; cover covered; copy copied copying
"""

# [se] infinitive [words] = English | aspect, classes of objects; `-` for none. The first meaning takes object pronouns.
VERBS = """
manger = eat | action - food mass; boire = drink | action - drink; dormir = sleep | action; travailler = work | action; parler = speak | action; parler = speak | state language
regarder = look_at | action person animal thing furniture sky; regarder = watch | action media tv; voir = see | state person family animal robot vehicle place thing land sky
chercher = look_for | action thing text person animal place job clothes; aimer = love | state person family animal; aimer = like | state food mass drink text clothes place sound media sport subject
prendre = take | action thing clothes text vehicle; prendre = have | action cup; acheter = buy | action thing food mass clothes text vehicle drink furniture
lire = read | action - text; écrire = write | action - text; écouter = listen_to | action person family sound; écouter = listen | action
attendre = wait_for | action person family vehicle; attendre = wait | action; comprendre = understand | state - person idea text; connaître = know | state person family place
ouvrir = open | action opening; fermer = close | action opening; trouver = find | state thing text clothes animal; perdre = lose | event thing text clothes
faire = make | action dish; préparer = prepare | action dish; laver = wash | action vehicle clothes animal; porter = wear | action clothes; porter = carry | action thing
mettre = put_on | action clothes; aider = help | action person family; appeler = call | action person family; rencontrer = meet | event person family; inviter = invite | action person family
conduire = drive | action - vehicle; réparer = repair | action vehicle thing furniture; nettoyer = clean | action inside furniture place; casser = break | event thing; visiter = visit | action place; quitter = leave | action place
traverser = cross | action crossing; oublier = forget | event thing text; vendre = sell | action vehicle thing food furniture; apprendre = learn | action language subject; étudier = study | action - language subject
jouer = play | action; jouer à = play | action sport; chanter = sing | action - song; téléphoner à = call | action person family; répondre à = answer | action asked person; parler à = speak_to | action person family
penser à = think_of | action person family; entendre = hear | state person animal sound; choisir = choose | action thing clothes food text; finir = finish | action task text; toucher = touch | action thing wall animal
attraper = catch | action thing animal; lancer = throw | action thing; pousser = push | action vehicle furniture person; suivre = follow | action person animal vehicle; nourrir = feed | action animal
dessiner = draw | action animal place thing; peindre = paint | action wall furniture; cacher = hide | action thing text; couper = cut | action food mass; remercier = thank | action person family; compter = count | action thing animal
gagner = win | event media; payer = pay | action; commander = order | action food cup; goûter = taste | action food mass; détester = hate | state food mass drink person animal sport; adorer = love | state food mass drink sound sport animal
préférer = prefer | state food drink mass sport; expliquer = explain | action idea; répéter = repeat | action words; construire = build | action wall; utiliser = use | action thing; croire = believe | state person; tenir = hold | action thing; servir = serve | action dish cup; demander = ask_for | action stuff; arrêter = stop | action vehicle

marcher = walk | action; courir = run | action; nager = swim | action; danser = dance | action; pleurer = cry | action; rire = laugh | action; sourire = smile | action; crier = shout | action; cuisiner = cook | action; rêver = dream | action
voyager = travel | action; arriver = arrive | event; partir = leave | event; venir = come | event; entrer = come_in | event; sortir = go_out | event; rester = stay | action; rentrer = go_home | event; revenir = come_back | event; tomber = fall | event
monter = go_up | action; descendre = go_down | action; mentir = lie | action; réfléchir = think | action; respirer = breathe | action; trembler = tremble | action; mourir = die | event; commencer = start | event; sauter = jump | action; savoir = know | state; fumer = smoke | action; grandir = grow | action
habiter = live | state; vivre = live | state

se lever = get_up | event; se laver = wash | action; se reposer = rest | action; se réveiller = wake_up | event; se coucher = go_to_bed | event; s' habiller = get_dressed | action; se promener = go_for_a_walk | action
se dépêcher = hurry_up | action; s' amuser = have_fun | action; s' asseoir = sit_down | event
faire la cuisine = do_the_cooking | action; faire la vaisselle = do_the_dishes | action; faire les courses = do_the_shopping | action; faire du sport = do_sport | action; faire du vélo = ride_a_bicycle | action; faire une promenade = take_a_walk | action
faire du bruit = make_noise | action; prendre une douche = take_a_shower | action; prendre des photos = take_photos | action; prendre le petit-déjeuner = have_breakfast | action; dire la vérité = tell_the_truth | action
jouer du piano = play_the_piano | action; jouer de la guitare = play_the_guitar | action
"""

# Verbs with an object and, after à, a person.
DATIVE_VERBS = """
donner = give | action thing text food mass drink; montrer = show | action thing text; apporter = bring | action thing food drink mass; envoyer = send | action text; prêter = lend | action thing text vehicle; lire = read | action text
"""

# Verbs with an object and its place.
PLACING_VERBS = "mettre = put | action thing clothes text; poser = put | action thing text; laisser = leave | action thing text; cacher = hide | action thing; oublier = forget | event thing text; trouver = find | event thing text"

# Verbs before an infinitive; a tail is the French preposition before it.
INFINITIVE_VERBS = """
vouloir = want_to | state; pouvoir = can | modal; devoir = must | modal; aimer = like_to | state; savoir = know_how_to | state; commencer à = start_to | event; préférer = prefer_to | state; essayer de = try_to | action
adorer = love_to | state; détester = hate_to | state; espérer = hope_to | state; avoir besoin de = need_to | state; oublier de = forget_to | event; apprendre à = learn_to | action
"""

NAMES = """
Marie f; Paul m; Pierre m; Sophie f; Julie f; Thomas m; Lucas m; Claire f; Zoé f; Léa f; Hugo m; Emma f; Camille f; Michel m; Nathalie f; Julien m; Louis m; Alice f; Antoine m; Nicolas m; Jean m; Anne f; Luc m; Chloé f; Sarah f; Manon f; Léo m
Jules m; Adam m; Nina f; Louise f; Jacques m; François m; Hélène f; Martin m; Isabelle f; Philippe m; Élise f; Émile m; Inès f; Karim m; Fatima f; Mohamed m; Yasmine f; Jade f; Gabriel m; Raphaël m; Arthur m; Mathieu m; Céline f; David m; Daniel m; Laura f; Eva f
Tom m; John m; Mary f; Peter m; Anna f; Maria f; James m; Kate f; Oliver m; Max m; Sam m; Lucy f; Ali m; Lina f; Noah m; Simon m; Victor m; Agathe f; Marc m; Alex m; Ben m; Olivia f
"""
SYLLABLES = "ba be bo bri ca cla co da de dri el fa fi ga gri ha ja jo ka ki la le li lo lu ma me mi mo na ne ni no o or pa pe ra re ri ro sa se si so ta te ti to va ve vi wa ya za ze zo"
NAME_ENDINGS = "n l r s x k th ne lle nd rt m sky son ez i o a"
CITIES = """
Paris; Lyon; Marseille; Bordeaux; Lille; Nice; Toulouse; Nantes; Strasbourg; Rennes; Grenoble; Dijon; Tours; Brest; Genève = Geneva; Bruxelles = Brussels; Londres = London; Berlin; Madrid; Rome; New York; Boston; Chicago; Tokyo; Montréal = Montreal; Québec = Quebec; Dakar; Oslo
Lisbonne = Lisbon; Vienne = Vienna; Moscou = Moscow; Athènes = Athens; Dublin; Rabat; Tunis; Angers; Reims; Metz; Nancy; Avignon; Toronto; Amsterdam; Milan; Barcelone = Barcelona
"""
COUNTRIES = "en France = in France; en Angleterre = in England; en Italie = in Italy; en Espagne = in Spain; en Allemagne = in Germany; au Canada = in Canada; au Japon = in Japan; aux États-Unis = in the United States; en Chine = in China; en Belgique = in Belgium; en Suisse = in Switzerland; en Europe = in Europe; en Afrique = in Africa"

UNITS_FR = "zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize dix-sept dix-huit dix-neuf"
UNITS_EN = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
TENS_FR = "vingt trente quarante cinquante soixante"
TENS_EN = "twenty thirty forty fifty sixty seventy eighty ninety"

DAYS = "lundi = Monday; mardi = Tuesday; mercredi = Wednesday; jeudi = Thursday; vendredi = Friday; samedi = Saturday; dimanche = Sunday"
MONTHS = "janvier = January; février = February; mars = March; avril = April; mai = May; juin = June; juillet = July; août = August; septembre = September; octobre = October; novembre = November; décembre = December"
SEASONS = "en été = in summer; en hiver = in winter; au printemps = in spring; en automne = in autumn"

# Times by what they say: past, now, future, habit.
TIMES_PAST = "hier = yesterday; hier soir = last night; ce matin = this morning; la semaine dernière = last week; l'année dernière = last year; le mois dernier = last month; hier matin = yesterday morning"
TIMES_NOW = "maintenant = now; aujourd'hui = today; en ce moment = at the moment"
TIMES_FUTURE = "demain = tomorrow; ce soir = tonight; demain matin = tomorrow morning; la semaine prochaine = next week; l'année prochaine = next year; bientôt = soon; le mois prochain = next month; cet après-midi = this afternoon; ce week-end = this weekend"
TIMES_HABIT = "tous les jours = every day; le matin = in the morning; le soir = in the evening; chaque jour = every day; toutes les semaines = every week; l'après-midi = in the afternoon; tous les matins = every morning; le week-end = at the weekend; chaque année = every year; la nuit = at night; tous les soirs = every evening"
FREQUENCIES = "toujours = always; souvent = often; parfois = sometimes; rarement = rarely"
MANNERS = "beaucoup = a lot; bien = well; vite = fast; mal = badly; ensemble = together; ici = here; lentement = slowly; trop = too much; encore = again"

PREPOSITIONS = "dans = in; devant = in front of; derrière = behind; près de = near; à côté de = next to; à = at"
ON_THINGS = "sur = on; sous = under; à côté de = next to; derrière = behind; devant = in front of"
HOME = "à la maison = at home = home; à l'école = at school = to school; au travail = at work = to work; au lit = in bed = to bed; en ville = in town = to town; ici = here = here; là-bas = over there = over there; dehors = outside = outside; en vacances = on holiday = on holiday"

WEATHER = """
il pleut = it is raining; il fait beau = the weather is nice; il fait froid = it is cold; il fait chaud = it is hot; il neige = it is snowing; il y a du soleil = it is sunny; il y a du vent = it is windy; il fait nuit = it is dark
il fait mauvais = the weather is bad; il fait jour = it is light; il fait gris = it is cloudy; il y a des nuages = it is cloudy; il fait frais = it is cool
"""
WEATHER_PAST = "il pleuvait = it was raining; il faisait beau = the weather was nice; il faisait froid = it was cold; il faisait chaud = it was hot; il neigeait = it was snowing; il a plu = it rained; il a neigé = it snowed"
WEATHER_FUTURE = "il va pleuvoir = it is going to rain; il va neiger = it is going to snow; il va faire beau = the weather is going to be nice; il fera beau = the weather will be nice; il fera froid = it will be cold; il pleuvra = it will rain"

# Set phrases, said as they are; the mark of the last three tables is the question mark, the point or the exclamation mark.
GREETINGS = """
bonjour = hello; merci = thank you; oui = yes; non = no; salut = hi; bonsoir = good evening; excusez-moi = excuse me; pardon = excuse me; désolé = sorry; d'accord = okay; bien sûr = of course; merci beaucoup = thank you very much; désolée = sorry
"""
FAREWELLS = """
au revoir = goodbye; bonne nuit = good night; à demain = see you tomorrow; à bientôt = see you soon; s'il vous plaît = please; s'il te plaît = please; de rien = you are welcome; bonne journée = have a nice day; bonne soirée = have a nice evening
enchanté = nice to meet you; enchantée = nice to meet you; à ce soir = see you tonight; à lundi = see you on Monday; à plus tard = see you later; bon appétit = enjoy your meal; bon voyage = have a good trip; bon anniversaire = happy birthday; joyeux noël = merry Christmas; bonne année = happy new year
bonne chance = good luck; félicitations = congratulations; bienvenue = welcome; santé = cheers; à tout à l'heure = see you later; bon week-end = have a nice weekend; bonnes vacances = have a nice holiday; bravo = well done; attention = be careful; au secours = help; à l'aide = help; je vous en prie = you are welcome; je t'en prie = you are welcome
moi aussi = me too; moi non plus = me neither; pas encore = not yet; pas du tout = not at all; peut-être = maybe; jamais = never; toujours = always; très bien = very well; avec plaisir = with pleasure; tant pis = too bad; tout va bien = everything is fine; bien = well; rien = nothing; tout le monde = everyone; quelque chose = something; ici = here; maintenant = now
"""
STATEMENTS = """
je ne sais pas = I do not know; je sais = I know; je ne comprends pas = I do not understand; je comprends = I understand; ce n'est pas grave = it does not matter; pas de problème = no problem; ça va bien = I am fine; je suis désolé = I am sorry; je suis désolée = I am sorry; on y va = let's go; allons-y = let's go
c'est ça = that is right; c'est la vie = that is life; c'est tout = that is all; c'est moi = it is me; c'est à moi = it is mine; à votre santé = cheers; je m'en vais = I am leaving; je ne parle pas français = I do not speak French; ça marche = it works; ça ne marche pas = it does not work; bonne idée = good idea; il est tard = it is late; il est tôt = it is early
ça dépend = it depends; je plaisante = I am joking; laisse-moi tranquille = leave me alone; tais-toi = be quiet; allez-y = go ahead; vas-y = go ahead; on se voit demain = see you tomorrow; c'est l'heure = it is time; j'en ai marre = I am fed up
"""
EXPRESSIONS_ASKED = """
ça va = how are you; comment ça va = how are you; et toi = and you; et vous = and you; pourquoi = why; quand = when; où = where; comment = how; qui = who; combien = how much; quoi = what; pourquoi pas = why not; quelle heure est-il = what time is it; il est quelle heure = what time is it; combien ça coûte = how much does it cost; c'est combien = how much is it
qu'est-ce que c'est = what is it; qui est-ce = who is it; c'est qui = who is it; c'est quoi = what is it; qu'est-ce qui se passe = what is happening; qu'est-ce qu'il y a = what is the matter; que se passe-t-il = what is happening; quoi de neuf = what is new; vraiment = really; n'est-ce pas = right; c'est vrai = is it true; qui est là = who is there; où sommes-nous = where are we
quel jour sommes-nous = what day is it; quel temps fait-il = what is the weather like; ça y est = are you done; tu viens = are you coming; puis-je entrer = may I come in; quel dommage = what a pity; tu es sûr = are you sure; vous êtes prêts = are you ready; tu viens d'où = where do you come from; d'où viens-tu = where do you come from; d'où venez-vous = where do you come from; tu t'appelles comment = what is your name; comment dit-on cela en anglais = how do you say that in English
"""

QUANTITIES_COUNT = "beaucoup de = a lot of; quelques = a few; trop de = too many; assez de = enough"
QUANTITIES_MASS = "beaucoup de = a lot of; un peu de = a little; trop de = too much; assez de = enough"
MEASURES = "un verre de = a glass of; une tasse de = a cup of; une bouteille de = a bottle of"

# What subjects that are no persons do, in French infinitives and classes of objects.
ANIMALS_DO = "manger dormir boire courir jouer voir marcher regarder attendre suivre prendre casser attraper chercher sauter tomber arriver partir rester nager respirer trembler entrer sortir aimer traverser"
ROBOTS_DO = "travailler marcher parler tomber prendre porter laver nettoyer ouvrir fermer réparer traverser attraper lancer pousser suivre danser aider couper chercher regarder compter casser trouver jouer avancer"
VEHICLES_DO = "rouler = move | action; avancer = move_forward | action; arriver = arrive | event; partir = leave | event; s' arrêter = stop | event"

# Verbs after savoir; what has no owner; verbs of animals and robots before an object of `linked`.
SKILLS = "nager conduire danser chanter lire écrire cuisiner jouer réparer dessiner peindre"
UNOWNED = "train bus avion métro bateau taxi camion tracteur homme dame monsieur roi reine policier touriste soldat fille femme lion ours loup singe éléphant renard abeille serpent girafe grenouille papillon bébé facteur"

# Verbs that take an adverb of MANNERS, and adjectives that take none of DEGREES (in English).
MANNER_VERBS = "marcher courir danser chanter nager travailler parler manger dormir jouer"
NOT_GRADED = """
ready; dead; married; open; closed; magnificent; delicious; perfect; starving; alone; empty; brand-new; broken; here; free; finished; great; awful
French; English; American; Spanish; German; Italian; Chinese; Japanese; Canadian; Belgian; Swiss; too late
"""
WANTED = "kind; careful; polite; brave; calm; serious; ready; happy"  # be kind!
UNWANTED = "sad; angry; shy; mean; jealous; worried; surprised; curious"  # do not be sad
ADDRESSED = "madame = madam; monsieur = sir; mon ami = my friend; maman = mum; papa = dad; tout le monde = everyone; les amis = my friends; mon amour = my love"

# Questions of EXPRESSIONS_ASKED that would be statements, or half of one, without their mark.
MARK_NEEDED = "et toi; et vous; c'est vrai; vraiment; n'est-ce pas; tu viens; tu es sûr; vous êtes prêts; ça y est"

# Classes of nouns that are said alone with an article: un chat.
SAID_ALONE = """
person animal food mass drink thing text vehicle clothes furniture opening place inside street family robot idea stuff surface land media song sky time time clan abstract nature body
"""
